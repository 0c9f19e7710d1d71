// Package demo runs everything on one machine: a simulated ECS, real HTTP backends that follow it, nightjar, a real Envoy
// and a steady load, with changes to watch. The end-to-end tests use its parts.
package demo

import (
	"context"
	_ "embed" // for the world
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/groboclown/nightjar-mesh/internal/ecssim"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
)

//go:embed world.yaml
var worldYAML []byte

const (
	// loadEvery is the time between two requests of the load.
	loadEvery = 10 * time.Millisecond
	// startPatience bounds the time until the first request is served.
	startPatience = 60 * time.Second
	// settle is how long the load goes on after the last step.
	settle = 14 * time.Second
)

// Options are what a demo needs.
type Options struct {
	// Once runs the timeline one time and ends.
	Once bool
	// Out gets what there is to see; Terminal redraws it in place.
	Out      io.Writer
	Terminal bool
	// Log gets nightjar's and Envoy's logs; LogPath is where that is, "" where it is seen.
	Log     io.Writer
	LogPath string
	// EnvoyPath is NIGHTJAR_ENVOY_PATH.
	EnvoyPath string
	// Serve runs nightjar with more settings until the context ends.
	Serve func(ctx context.Context, settings map[string]string) error
	// Bootstrap makes the bootstrap of Envoy for these settings.
	Bootstrap func(ctx context.Context, settings map[string]string) ([]byte, error)
}

// ErrFailedRequests is the end of a demo in which a request failed that should not have.
var ErrFailedRequests = errors.New("requests failed that should not have")

// errOver ends the parts of a demo whose timeline is over.
var errOver = errors.New("the timeline is over")

// paths are the routes of the demo: path, service, container and port in the world.
func paths() [][4]string {
	return [][4]string{
		{"/orders", "demo/orders", "", ""},
		{"/users", "demo/users", "", ""},
		{"/shop", "demo/shop", "web", ""},
		{"/shop/basket", "demo/shop", "basket", ""},
	}
}

// Run runs the demo until the context ends, or with Once until the timeline does. All it started has ended when it returns.
func Run(ctx context.Context, o Options) error {
	binary, err := envoy.Find(ctx, envoy.FindOptions{Path: o.EnvoyPath, Progress: o.Out})
	if err != nil {
		return err
	}
	network, claim, err := takeNetwork(ctx, networks())
	if err != nil {
		return err
	}
	defer claim.Close()
	file, err := ecssim.Load(worldIn(network))
	if err != nil {
		return err
	}
	sim, err := ecssim.New(file)
	if err != nil {
		return err
	}
	d := &demo{Options: o, sim: sim, score: newScore()}
	if err := d.choosePorts(ctx); err != nil {
		return err
	}
	defer d.api.Close()
	err = d.run(ctx, binary)
	if ctx.Err() != nil || errors.Is(err, errOver) {
		err = nil
	}
	return d.end(err)
}

// end says what there is to say in the end.
func (d *demo) end(err error) error {
	fmt.Fprint(d.Out, d.score.below())
	if err == nil {
		fmt.Fprint(d.Out, d.score.summary())
		if d.Once && d.score.failures() > 0 {
			err = ErrFailedRequests
		}
	}
	if d.LogPath != "" {
		fmt.Fprintf(d.Out, "Logs: %s\n", d.LogPath)
	}
	return err
}

// demo is one run.
type demo struct {
	Options
	sim      *ecssim.Sim
	score    *score
	backends *Backends
	settings map[string]string
	api      net.Listener
	egress   string
	admin    string
	envoyAt  string
}

// choosePorts takes free ports for everything.
func (d *demo) choosePorts(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	if d.api, err = lc.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("starting the simulated ECS: %w", err)
	}
	var ports [4]string
	for i := range ports {
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close() // all at the end, so that they differ
		ports[i] = strconv.Itoa(int(netip.MustParseAddrPort(l.Addr().String()).Port()))
	}
	d.egress, d.admin, d.envoyAt = "http://127.0.0.1:"+ports[0], "127.0.0.1:"+ports[2], "127.0.0.1:"+ports[3]
	d.settings = map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://" + d.api.Addr().String(),
		"EGRESS_LISTEN_PORT": ports[0], "NIGHTJAR_XDS_LISTEN": "127.0.0.1:" + ports[1], "NIGHTJAR_ADMIN_LISTEN": d.admin,
		"ENVOY_ADMIN_PORT": ports[3], "NIGHTJAR_AWS_RATE": "4",
	}
	for i, p := range paths() {
		x := strconv.Itoa(i + 1)
		d.settings["SERVICE_ARN_"+x] = "arn:aws:ecs:eu-west-1:111122223333:service/" + p[1]
		d.settings["SERVICE_PATH_"+x] = p[0]
		d.settings["SERVICE_CONTAINER_"+x] = p[2]
	}
	return nil
}

// run starts all parts and lets the timeline happen.
func (d *demo) run(ctx context.Context, binary string) error {
	bootstrap, err := d.Bootstrap(ctx, d.settings)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	lives, end := context.WithCancelCause(ctx)
	defer end(nil)
	d.backends = NewBackends(d.sim.World, func(err error) {
		fmt.Fprintln(d.Log, err)
		if cantListen(err) {
			end(taken(err)) // else each of its requests would fail
		}
	})
	group.Go(func() error { d.backends.Run(lives); return context.Cause(lives) })
	group.Go(func() error { return d.serveAPI(ctx) })
	group.Go(func() error { return d.Serve(ctx, d.settings) })
	group.Go(func() error { return d.runEnvoy(ctx, binary, bootstrap) })
	group.Go(func() error {
		if err := d.waitUntilServed(ctx); err != nil {
			return err
		}
		d.greet()
		return d.show(ctx)
	})
	return group.Wait()
}

func (d *demo) serveAPI(ctx context.Context) error {
	server := &http.Server{Handler: d.sim.Server, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(d.api); ctx.Err() == nil {
		return err
	}
	return nil
}

func (d *demo) runEnvoy(ctx context.Context, binary string, bootstrap []byte) error {
	p, err := envoy.Start(ctx, envoy.ProcessOptions{
		Path: binary, Bootstrap: bootstrap, Concurrency: 1, LogLevel: "warning", Stdout: d.Log, Stderr: d.Log,
	})
	if err != nil {
		return err
	}
	return p.Wait()
}

// waitUntilServed waits until every path is served.
func (d *demo) waitUntilServed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	var last error
	for _, p := range paths() {
		for {
			r := Get(client, d.egress, p[0])
			if r.Err == nil {
				break
			}
			last = r.Err
			select {
			case <-ctx.Done():
				return fmt.Errorf("nothing served %s in %s: %w", p[0], startPatience, last)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

func (d *demo) greet() {
	fmt.Fprintf(d.Out, "A simulated ECS with three services, nightjar, and a real Envoy %s are running. Try:\n", envoy.Version)
	for _, p := range paths() {
		fmt.Fprintf(d.Out, "  curl %s%s\n", d.egress, p[0])
	}
	fmt.Fprintf(d.Out, "  curl http://%s/api/status     what nightjar knows\n", d.admin)
	fmt.Fprintf(d.Out, "  curl http://%s/clusters       what Envoy knows\n", d.envoyAt)
	fmt.Fprintf(d.Out, "Load: %d requests a second. Ctrl-C ends it.\n\n", time.Second/loadEvery)
}
