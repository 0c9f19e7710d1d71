package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// worldNetwork is the beginning of all addresses in world.yaml.
const worldNetwork = "127.91"

// networks are the beginnings that a demo's addresses may have: one for each demo on this machine.
func networks() []string {
	var all []string
	for n := 91; n <= 99; n++ {
		all = append(all, "127."+strconv.Itoa(n))
	}
	return all
}

// claimPort is where a demo listens as long as it lives, in its network, so that no other demo takes that. It is below the
// ports that Linux gives to whoever asks for any.
const claimPort = "32767"

// takeNetwork takes the first network that is free, and keeps it until the claim is closed. Where none is, the error names
// what is taken in the first one.
func takeNetwork(ctx context.Context, networks []string) (network string, claim net.Listener, err error) {
	var first error
	for _, network := range networks {
		var lc net.ListenConfig
		claim, err := lc.Listen(ctx, "tcp", network+".0.1:"+claimPort)
		if err == nil {
			if err = tryBackends(ctx, network); err == nil {
				return network, claim, nil
			}
			_ = claim.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return "", nil, fmt.Errorf("looking for free addresses: %w", err)
		}
		if first == nil {
			first = taken(err)
		}
	}
	return "", nil, first
}

// tryBackends tries to listen where the demo's containers will: their first host ports at both instances, and the first task
// in awsvpc mode.
func tryBackends(ctx context.Context, network string) error {
	places := []string{network + ".2.1:3000"}
	for port := 32768; port < 32784; port++ {
		places = append(places, fmt.Sprintf("%s.1.1:%d", network, port), fmt.Sprintf("%s.1.2:%d", network, port))
	}
	for _, at := range places {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", at)
		if err != nil {
			return err
		}
		_ = l.Close()
	}
	return nil
}

// worldIn is the demo's world with its addresses in a network.
func worldIn(network string) []byte {
	return bytes.ReplaceAll(worldYAML, []byte(worldNetwork+"."), []byte(network+"."))
}

// taken says what to do about an address that somebody else listens on; other errors stay as they are.
func taken(err error) error {
	op, isListen := errors.AsType[*net.OpError](err)
	if !isListen || op.Addr == nil || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("%s is taken, by another demo or simulator on this machine perhaps: end it first", op.Addr)
}

// cantListen tells whether a backend could not start.
func cantListen(err error) bool {
	op, isNet := errors.AsType[*net.OpError](err)
	return isNet && op.Op == "listen"
}
