package cli

import (
	"context"
	"net"
	"strconv"

	"github.com/groboclown/nightjar-mesh/internal/config"
	"github.com/groboclown/nightjar-mesh/internal/owntask"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// envoyAdmin is where the admin API of the own Envoy is reached from here. A host that names a container of the own task is
// looked up there, so no links are needed: at each call, as that container may start later than nightjar.
func (c *call) envoyAdmin(ctx context.Context, settings *config.Config) string {
	return net.JoinHostPort(c.envoyHost(ctx, settings), strconv.Itoa(int(settings.EnvoyAdmin.Port())))
}

func (c *call) envoyHost(ctx context.Context, settings *config.Config) string {
	uri := c.env[taskmeta.URIVariable]
	if uri == "" || settings.EnvoyHost == "localhost" {
		return settings.EnvoyHost
	}
	task, err := taskmeta.Fetch(ctx, uri)
	if err != nil {
		return settings.EnvoyHost // which links or DNS may know; else asking it says what is wrong
	}
	container, found := task.Container(settings.EnvoyHost)
	if !found {
		return settings.EnvoyHost
	}
	if address, has := owntask.Address(task, container); has {
		return address.String()
	}
	return settings.EnvoyHost
}
