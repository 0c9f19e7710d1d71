package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/groboclown/nightjar-mesh/internal/admin"
	"github.com/groboclown/nightjar-mesh/internal/awsapi"
	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/control"
	"github.com/groboclown/nightjar-mesh/internal/ecs"
	"github.com/groboclown/nightjar-mesh/internal/envoy"
	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/xds"
)

func serveCommand() command {
	return command{
		name:    "serve",
		summary: "run the control plane",
		help: func() string {
			return "Settings are environment variables (more in docs/configuration.md):\n" + config.Help() +
				"\nExample:\n  EGRESS_LISTEN_PORT=8080 SERVICE_PATH_1=/orders \\\n" +
				"  SERVICE_ARN_1=arn:aws:ecs:eu-west-1:111122223333:service/shop/orders nightjar serve"
		},
		run: serve,
	}
}

// serve runs the control plane until the context ends.
func serve(ctx context.Context, c *call) error {
	settings, log, err := c.begin(ctx)
	if err != nil {
		return err
	}
	p, err := assemble(ctx, c, settings, log)
	if err != nil {
		return err
	}
	log.Info("nightjar starts", "version", version(), "region", settings.Region, "network_mode", settings.Mode,
		"listeners", listeners(settings), "xds", settings.XDS.String(), "admin", settings.Admin.String(),
		"services", len(settings.Refs()), "own_containers", len(settings.OwnRefs()), "paths", len(settings.Entries)+len(settings.Containers))
	if err := p.run(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	log.Info("nightjar ends; Envoy keeps its routes")
	return nil
}

// plane is an assembled control plane.
type plane struct {
	loop       *control.Loop
	cache      *xds.Cache
	lookout    *envoy.Lookout
	admin      *admin.Server
	xds, local net.Listener
}

func assemble(ctx context.Context, c *call, settings *config.Config, log *slog.Logger) (*plane, error) {
	metrics := admin.NewMetrics()
	budget := awsapi.NewBudget(settings.Rate, settings.Burst)
	client, err := newClient(ctx, settings, budget, metrics, log)
	if err != nil {
		return nil, err
	}
	p := &plane{cache: xds.NewCache(log, metrics)}
	inventory := ecs.NewInventory(client, schedule(settings))
	p.loop, err = control.New(control.Options{
		Reader: inventory, Publisher: p.cache, Observer: metrics, Log: log,
		Refs: settings.Refs(), Proxies: []mesh.Proxy{settings.Proxy()}, Wait: settings.Wait,
		Own: control.Source{Reader: newOwnReader(c, settings, client), Refs: settings.OwnRefs(), Wait: ownWait},
	})
	if err != nil {
		return nil, err
	}
	p.lookout = &envoy.Lookout{
		Connected: func() bool { return len(p.cache.Nodes()) > 0 }, XDS: settings.XDS.Setting(), Bridge: settings.Mode == "bridge", Log: log,
		Where: func(ctx context.Context) (string, error) { return c.envoyAdmin(ctx, settings), nil },
	}
	p.admin = &admin.Server{Version: version(), Loop: p.loop, Envoys: p.cache, Rates: budget, Metrics: metrics, EnvoyNote: p.lookout.Note}
	if len(settings.Refs()) > 0 {
		p.admin.Reader = pacer{inventory}
	}
	if p.xds, err = listen(ctx, "NIGHTJAR_XDS_LISTEN", settings.XDS); err != nil {
		return nil, err
	}
	if p.local, err = listen(ctx, "NIGHTJAR_ADMIN_LISTEN", settings.Admin); err != nil {
		_ = p.xds.Close()
		return nil, err
	}
	return p, nil
}

// pacer tells the pace of an inventory to admin.
type pacer struct{ inventory *ecs.Inventory }

// Pace implements admin.Reader.
func (p pacer) Pace() admin.ReadPace {
	now := p.inventory.Pace()
	if now.Services == 0 {
		return admin.ReadPace{}
	}
	return admin.ReadPace{
		Quiet: now.Every.Services, Moving: now.Every.Moving, Tasks: now.Every.Tasks, Readers: now.Readers, Words: now.String(),
	}
}

// listeners are the addresses of all listeners, for the log.
func listeners(settings *config.Config) string {
	var all []string
	for _, l := range settings.Proxy().Listeners {
		all = append(all, l.Name+"="+l.Addr.String())
	}
	return strings.Join(all, " ")
}

// schedule is when what is read.
func schedule(settings *config.Config) *ecs.Schedule {
	return &ecs.Schedule{
		Refs: settings.Refs(), Rate: settings.Rate, Wait: settings.Wait, Sidecar: settings.Sidecar,
		OwnCluster: settings.OwnCluster, OwnService: settings.OwnService,
	}
}

func newClient(
	ctx context.Context, settings *config.Config, budget *awsapi.Budget, observer awsapi.Observer, log *slog.Logger,
) (*awsapi.Client, error) {
	client, err := awsapi.New(ctx, awsapi.Options{Region: settings.Region, Budget: budget, Log: log, Observer: observer})
	if err != nil {
		return nil, fmt.Errorf("setting up the AWS client: %w", err)
	}
	return client, nil
}

// run runs all parts until the context ends or one of them fails. Envoys are answered from the first publish on: before
// that they go on with what they have.
func (p *plane) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.admin.Serve(ctx, p.local) })
	group.Go(func() error {
		p.loop.Run(ctx)
		return nil
	})
	group.Go(func() error {
		defer func() { _ = p.xds.Close() }()
		select {
		case <-ctx.Done():
			return nil
		case <-p.loop.Published():
			return p.cache.Serve(ctx, p.xds)
		}
	})
	group.Go(func() error {
		select {
		case <-ctx.Done():
		case <-p.loop.Published(): // before that no Envoy is answered
			p.lookout.Run(ctx)
		}
		return nil
	})
	return group.Wait()
}
