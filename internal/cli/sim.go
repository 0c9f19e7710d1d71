package cli

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"strings"
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
			return "Answers the five read actions of ECS and EC2 as AWS does, for the world of a YAML file, and runs a small server in the\n" +
				"place of each container, on loopback addresses. Steps of the timeline are told on stdout, and POST /step takes more. It is\n" +
				"rude by default, as AWS can be: late, short and throttled answers; `polite: true` in the file turns that off.\n" +
				"docs/simulator.md shows how to write a world and use it.\n\n" +
				"Example:\n  nightjar sim --world examples/world.yaml --listen 127.0.0.1:4566\n" +
				"  AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x \\\n" +
				"    aws ecs list-tasks --cluster shop --region eu-west-1\n" +
				"  curl -d '{do: deploy, service: shop/orders}' http://127.0.0.1:4566/step"
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
	fmt.Fprint(c.stdout, simWelcome(file, sim.World.Services(), l.Addr().String()))
	said := func(s ecssim.FileStep) { fmt.Fprintf(c.stdout, "%s  %s\n", time.Now().Format(time.TimeOnly), s) }
	sim.World.OnUnplaced(func(service string, ports []uint16) {
		fmt.Fprintf(c.stdout, "%s  %s can't start a task: no instance has its ports %v free; it waits for one, as in ECS\n",
			time.Now().Format(time.TimeOnly), service, ports)
	})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return sim.Run(ctx, said) })
	group.Go(func() error {
		server := &http.Server{Handler: sim.Handler(said), ReadHeaderTimeout: 10 * time.Second}
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

// simWelcome says what to do with a simulated ECS: the variables to copy, the services, and how to let something happen.
func simWelcome(file *ecssim.File, services []ecssim.ServiceInfo, at string) string {
	key := "sim"
	if len(file.AccessKeys) > 0 {
		key = file.AccessKeys[0]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "A simulated ECS answers at http://%s. In another terminal, for nightjar or any AWS client:\n\n", at)
	fmt.Fprintf(&b, "  export AWS_ENDPOINT_URL=http://%s AWS_REGION=%s\n", at, file.Region)
	fmt.Fprintf(&b, "  export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=sim\n\n", key)
	if len(services) == 0 {
		fmt.Fprint(&b, "The world has no services.\n")
	} else {
		fmt.Fprint(&b, "Its services, for SERVICE_ARN_1 and so on:\n\n")
	}
	for _, s := range services {
		tasks := "tasks"
		if s.Desired == 1 {
			tasks = "task"
		}
		fmt.Fprintf(&b, "  %s  %d %s in %s mode; %s\n", s.ARN, s.Desired, tasks, s.NetworkMode, strings.Join(s.Containers, ", "))
	}
	if len(services) > 0 {
		fmt.Fprintf(&b, "\nTo let something happen now:\n\n  curl -d '{do: deploy, service: %s}' http://%s/step\n", services[0].Name, at)
	}
	fmt.Fprintf(&b, "\nThe running tasks' metadata endpoints (ECS_CONTAINER_METADATA_URI_V4): curl http://%s/v4/\n", at)
	return b.String() + "Ctrl-C ends it. What happens:\n"
}
