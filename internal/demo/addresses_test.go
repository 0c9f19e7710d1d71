package demo

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

func mustListen(t *testing.T, at string) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

func TestADemoTakesTheNextNetworkThatIsFree(t *testing.T) {
	t.Parallel()
	mustListen(t, "127.61.1.2:32770") // a simulator
	candidates := []string{"127.61", "127.62", "127.63"}
	var claims []net.Listener
	for _, want := range candidates[1:] {
		network, claim, err := takeNetwork(t.Context(), candidates)
		if err != nil || network != want {
			t.Fatalf("%s, %v; want %s", network, err, want)
		}
		claims = append(claims, claim)
		defer claim.Close()
	}
	const want = "127.61.1.2:32770 is taken, by another demo or simulator on this machine perhaps: end it first"
	if _, _, err := takeNetwork(t.Context(), candidates); err == nil || err.Error() != want {
		t.Errorf("no network is free: %v", err)
	}
	_ = claims[1].Close() // the demo there ends
	network, claim, err := takeNetwork(t.Context(), candidates)
	if err != nil || network != "127.63" {
		t.Errorf("%s, %v", network, err)
	}
	defer claim.Close()
}

func TestTheDemosWorldIsWhollyInItsNetwork(t *testing.T) {
	t.Parallel()
	text := worldIn("127.64")
	file, err := ecssim.Load(text)
	if err != nil {
		t.Fatal(err)
	}
	c := file.Clusters[0]
	if got := []string{c.Subnet, c.Instances[0].Address, c.Instances[1].Address}; strings.Join(got, " ") != "127.64.2.0/24 127.64.1.1 127.64.1.2" {
		t.Errorf("%v", got)
	}
	if bytes.Contains(text, []byte(worldNetwork+".1")) || bytes.Contains(text, []byte(worldNetwork+".2")) {
		t.Error("an address is left in the usual network")
	}
}

// TestADemoStopsAtOnceWhereABackendCantListen begins a demo in a network that somebody takes after it looked.
func TestADemoStopsAtOnceWhereABackendCantListen(t *testing.T) {
	t.Parallel()
	mustListen(t, "127.65.1.1:32768")
	file, err := ecssim.Load(worldIn("127.65"))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := ecssim.New(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ended := func(ctx context.Context, _ map[string]string) error { <-ctx.Done(); return nil }
	d := &demo{sim: sim, score: newScore(), Options: Options{
		Out: &out, Log: log, LogPath: log.Name(), Serve: ended,
		Bootstrap: func(context.Context, map[string]string) ([]byte, error) { return []byte("{}"), nil },
	}}
	if err := d.choosePorts(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = d.end(d.run(ctx, sleeper(t)))
	if err == nil || !strings.HasPrefix(err.Error(), "127.65.1.1:32768 is taken") || ctx.Err() != nil {
		t.Errorf("it ends with %v", err)
	}
	logged, err := os.ReadFile(log.Name())
	if err != nil || !strings.HasSuffix(out.String(), "Logs: "+log.Name()+"\n") || !bytes.Contains(logged, []byte("address already in use")) {
		t.Errorf("it says\n%s\nand logs\n%s", &out, logged)
	}
}

func TestFailuresOfOneKindAreOneLine(t *testing.T) {
	t.Parallel()
	s := newScore()
	begin := time.Date(2026, 1, 2, 22, 29, 0, 0, time.Local)
	for i := range 90 {
		err := fmt.Errorf("status %d (%s)", http.StatusServiceUnavailable, "no healthy upstream")
		if i%2 == 1 {
			err = &net.OpError{Op: "read", Source: &net.TCPAddr{Port: 40000 + i}, Err: net.ErrClosed}
		}
		s.fail("/orders", err, begin.Add(time.Duration(i)*time.Second/30))
	}
	s.fail("/users", fmt.Errorf("EOF"), begin)
	want := []string{
		"22:29:00–22:29:02  FAILED /orders, 45 times: status 503 (no healthy upstream)",
		"22:29:00–22:29:02  FAILED /orders, 45 times: read: use of closed network connection",
		"22:29:00  FAILED /users: EOF",
	}
	if got := strings.Join(s.lastNotes(3), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the notes:\n%s", got)
	}
	if got := s.summary(); !strings.Contains(got, " 91 failed;") || !strings.HasSuffix(got, strings.Join(want, "\n")+"\n") {
		t.Errorf("the summary:%s", got)
	}
	for i := range 200 {
		s.fail("/", fmt.Errorf("way %d", i), begin)
	}
	if got := strings.Count(s.summary(), "\n"); got > maxFailures+2 || !strings.Contains(s.summary(), "otherwise, 154 times") {
		t.Errorf("a summary of %d lines:%s", got, s.summary())
	}
}

func TestALongAnswerIsCutBetweenWords(t *testing.T) {
	t.Parallel()
	const text = "upstream connect error\nor disconnect"
	for most, want := range map[int]string{
		100: "upstream connect error or disconnect", 24: "upstream connect error …", 4: "…",
	} {
		if got := shorten(text, most); got != want {
			t.Errorf("%d: %q, want %q", most, got, want)
		}
	}
}

// sleeper is a program that stands for Envoy.
func sleeper(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
