package cli

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/groboclown/nightjar-mesh/internal/demo"
	"github.com/groboclown/nightjar-mesh/internal/ecssim"
)

func simCommand() command {
	return command{
		name:    "sim",
		summary: "the simulated ECS by itself, for any AWS client",
		help: func() string {
			return "Answers the five read actions of ECS and EC2 as AWS does, for the world of a YAML file, and runs a small HTTP server in the\n" +
				"place of each container, on loopback addresses. Steps of the timeline are told on stdout. It is rude by default, as AWS can\n" +
				"be: late, short and throttled answers; `polite: true` in the file turns that off.\n\n" +
				"Example:\n  nightjar sim --world examples/world.yaml --listen 127.0.0.1:4566\n" +
				"  AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x \\\n" +
				"    aws ecs list-tasks --cluster shop --region eu-west-1"
		},
		flags: func(f *flag.FlagSet) {
			f.String("world", "", "the world's YAML `FILE` (needed)")
			f.String("listen", "127.0.0.1:4566", "`HOST:PORT` to answer on")
			f.Bool("no-backends", false, "run no servers in the place of containers")
		},
		run: runSim,
	}
}

func runSim(ctx context.Context, c *call) error {
	path := c.flags.Lookup("world").Value.String()
	if path == "" {
		return usageError{fmt.Errorf("--world FILE is needed, such as examples/world.yaml")}
	}
	file, err := ecssim.LoadFile(path)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", path, err)}
	}
	sim, err := ecssim.New(file)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", c.flags.Lookup("listen").Value.String())
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	fmt.Fprintf(c.stdout, "ECS and EC2 of the Region %s: AWS_ENDPOINT_URL=http://%s\n", file.Region, l.Addr())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return sim.Run(ctx, func(s ecssim.FileStep) { fmt.Fprintf(c.stdout, "%s  %s\n", time.Now().Format(time.TimeOnly), s) })
	})
	group.Go(func() error {
		server := &http.Server{Handler: sim.Server, ReadHeaderTimeout: 10 * time.Second}
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		if err := server.Serve(l); ctx.Err() == nil {
			return err
		}
		return nil
	})
	if c.flags.Lookup("no-backends").Value.String() != "true" {
		group.Go(func() error {
			demo.NewBackends(sim.World, func(err error) { fmt.Fprintln(c.stderr, err) }).Run(ctx)
			return nil
		})
	}
	return group.Wait()
}
