package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxSocketPath is the longest path of a unix socket: sun_path of unix(7) without its closing zero.
const maxSocketPath = 107

// Address is a place to listen on or to dial.
type Address struct {
	// Network is tcp or unix.
	Network string
	// Host and Port are there with tcp. The host may be a name.
	Host string
	Port uint16
	// Path is there with unix.
	Path string
}

// String is what net.Listen and net.Dial take: HOST:PORT, or the path of a unix socket.
func (a Address) String() string {
	if a.Network == "unix" {
		return a.Path
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

// parseAddress reads HOST:PORT or unix:PATH.
func parseAddress(text string) (Address, error) {
	if path, unix := strings.CutPrefix(text, "unix:"); unix {
		if !strings.HasPrefix(path, "/") || len(path) > maxSocketPath || strings.ContainsRune(path, 0) {
			return Address{}, fmt.Errorf("want unix: and an absolute path of at most %d bytes", maxSocketPath)
		}
		return Address{Network: "unix", Path: path}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return Address{}, errors.New("want HOST:PORT or unix:PATH")
	}
	number, err := parsePort(port)
	if err != nil {
		return Address{}, err
	}
	if _, err := netip.ParseAddr(host); err != nil && !validHost(host) {
		return Address{}, errors.New("want HOST:PORT, with an IP address or a name as HOST")
	}
	return Address{Network: "tcp", Host: host, Port: number}, nil
}

// validHost tells whether host can be a name: letters, digits, hyphens, underscores (docker has them) and dots.
func validHost(host string) bool {
	if host == "" || len(host) > 253 || strings.HasPrefix(host, "-") {
		return false
	}
	return strings.IndexFunc(host, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("want a port from 1 to 65535")
	}
	return uint16(n), nil
}

// overlap tells whether two addresses can't both be listened on.
func overlap(a, b Address) bool {
	if a.Network != b.Network {
		return false
	}
	if a.Network == "unix" {
		return a.Path == b.Path
	}
	return a.Port == b.Port && (a.Host == b.Host || unspecified(a.Host) || unspecified(b.Host))
}

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}
