package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Sight is what an Envoy tells of itself: which one it is, and where its bootstrap looks for its control plane.
type Sight struct {
	// Version is such as 1.40.0; State is LIVE, DRAINING, PRE_INITIALIZING or INITIALIZING.
	Version, State string
	// NodeID is the node ID of its bootstrap.
	NodeID string
	// XDS are the addresses that its bootstrap dials for xDS, HOST:PORT or unix:PATH; mostly one.
	XDS []string
	// Flaws say why its bootstrap opens no stream that nightjar serves, whatever the address.
	Flaws []string
}

// Look asks an Envoy's admin API which Envoy it is, and what its bootstrap dials. What it found before an error is there
// beside it.
func Look(ctx context.Context, a *Admin) (Sight, error) {
	info, err := a.ServerInfo(ctx)
	if err != nil {
		return Sight{}, err
	}
	s := Sight{Version: info.Version, State: info.State}
	// The mask leaves out what came over xDS, which may be large. It can't reach into lists.
	body, err := a.get(ctx, "/config_dump", url.Values{
		"mask": {"bootstrap.node.id,bootstrap.dynamic_resources,bootstrap.static_resources.clusters"},
	})
	if err != nil {
		return s, err
	}
	if err := s.readDump(body); err != nil {
		return s, fmt.Errorf("reading /config_dump of the Envoy at %s: %w", a.address, err)
	}
	return s, nil
}

// readDump reads the bootstrap in a config dump. It is plain JSON here: the bootstrap of a stranger may hold types that
// nobody knows.
func (s *Sight) readDump(body []byte) error {
	var dump struct {
		Configs []struct {
			Type      string `json:"@type"`
			Bootstrap bootstrapJSON
		}
	}
	if err := json.Unmarshal(body, &dump); err != nil {
		return err
	}
	for _, c := range dump.Configs {
		if strings.HasSuffix(c.Type, ".BootstrapConfigDump") {
			s.read(c.Bootstrap)
			return nil
		}
	}
	return errors.New("it has no bootstrap")
}

// bootstrapJSON is the part of a bootstrap that leads to the control plane.
type bootstrapJSON struct {
	Node struct {
		ID string
	}
	Dynamic struct {
		ADS *adsJSON        `json:"ads_config"`
		LDS json.RawMessage `json:"lds_config"`
		CDS json.RawMessage `json:"cds_config"`
	} `json:"dynamic_resources"`
	Static struct {
		Clusters []clusterJSON
	} `json:"static_resources"`
}

type adsJSON struct {
	APIType  string `json:"api_type"`
	Services []struct {
		Envoy *struct {
			Cluster string `json:"cluster_name"`
		} `json:"envoy_grpc"`
		Google *struct {
			Target string `json:"target_uri"`
		} `json:"google_grpc"`
	} `json:"grpc_services"`
}

type clusterJSON struct {
	Name       string
	Assignment struct {
		Endpoints []struct {
			Endpoints []struct {
				Endpoint struct {
					Address struct {
						Socket *struct {
							Address string
							Port    uint16 `json:"port_value"`
						} `json:"socket_address"`
						Pipe *struct {
							Path string
						}
					}
				}
			} `json:"lb_endpoints"`
		}
	} `json:"load_assignment"`
}

// read takes what the bootstrap says of the control plane.
func (s *Sight) read(b bootstrapJSON) {
	s.NodeID = b.Node.ID
	ads := b.Dynamic.ADS
	if ads == nil {
		s.flaw("its bootstrap has no dynamic_resources.ads_config")
		return
	}
	if ads.APIType != "DELTA_GRPC" {
		s.flaw("its bootstrap's ads_config has the api_type %.40s, and nightjar serves DELTA_GRPC alone", ads.APIType)
	}
	if !overADS(b.Dynamic.CDS) {
		s.flaw("its bootstrap's cds_config is not {ads: {}}")
	}
	if !overADS(b.Dynamic.LDS) {
		s.flaw("its bootstrap's lds_config is not {ads: {}}")
	}
	for _, service := range ads.Services {
		switch {
		case service.Envoy != nil:
			s.follow(service.Envoy.Cluster, b.Static.Clusters)
		case service.Google != nil:
			s.XDS = append(s.XDS, targetAddress(service.Google.Target))
		}
	}
	if len(s.XDS) == 0 && len(s.Flaws) == 0 {
		s.flaw("its bootstrap's ads_config names no address")
	}
}

func (s *Sight) flaw(format string, args ...any) {
	s.Flaws = append(s.Flaws, fmt.Sprintf(format, args...))
}

// overADS tells whether a config source is the ADS stream.
func overADS(source json.RawMessage) bool {
	var parts map[string]json.RawMessage
	if json.Unmarshal(source, &parts) != nil {
		return false
	}
	return parts["ads"] != nil
}

// follow finds the addresses of the static Envoy cluster that leads to the control plane.
func (s *Sight) follow(name string, clusters []clusterJSON) {
	for _, c := range clusters {
		if c.Name != name {
			continue
		}
		before := len(s.XDS)
		for _, locality := range c.Assignment.Endpoints {
			for _, e := range locality.Endpoints {
				switch at := e.Endpoint.Address; {
				case at.Pipe != nil:
					s.XDS = append(s.XDS, "unix:"+at.Pipe.Path)
				case at.Socket != nil:
					s.XDS = append(s.XDS, net.JoinHostPort(at.Socket.Address, strconv.Itoa(int(at.Socket.Port))))
				}
			}
		}
		if len(s.XDS) == before {
			s.flaw("its bootstrap's Envoy cluster %.120q, which leads to the control plane, has no address", name)
		}
		return
	}
	s.flaw("its bootstrap's ads_config names the Envoy cluster %.120q, which is not among its static ones", name)
}

// targetAddress is the address in a target of gRPC: HOST:PORT, or unix:PATH. Source: gRPC Name Resolution.
func targetAddress(target string) string {
	if p, unix := strings.CutPrefix(target, "unix:"); unix {
		return "unix:" + strings.TrimPrefix(p, "//")
	}
	for _, scheme := range []string{"dns:", "ipv4:", "ipv6:"} {
		if rest, found := strings.CutPrefix(target, scheme); found {
			return rest[strings.LastIndexByte(rest, '/')+1:]
		}
	}
	return target
}

// leadsTo tells whether what Envoy dials may be what nightjar listens on. Names can't be judged from here, nor where a
// volume is mounted in another container: of those, the port and the name of the socket tell.
func leadsTo(dials, listens string) bool {
	dialsPath, dialsUnix := strings.CutPrefix(dials, "unix:")
	listensPath, listensUnix := strings.CutPrefix(listens, "unix:")
	if dialsUnix || listensUnix {
		return dialsUnix && listensUnix && path.Base(dialsPath) == path.Base(listensPath)
	}
	dialsHost, dialsPort, err := net.SplitHostPort(dials)
	listensHost, listensPort, err2 := net.SplitHostPort(listens)
	return err == nil && err2 == nil && dialsPort == listensPort && hostLeadsTo(dialsHost, listensHost)
}

func hostLeadsTo(dials, listens string) bool {
	if strings.EqualFold(listens, "localhost") {
		listens = "127.0.0.1"
	}
	if strings.EqualFold(dials, "localhost") { // it may mean either family
		return isLoopback(listens) || isUnspecified(listens)
	}
	to, err := netip.ParseAddr(dials)
	on, err2 := netip.ParseAddr(listens)
	switch {
	case err2 != nil: // nightjar listens on a name
		return true
	case on.IsUnspecified():
		return true
	case err != nil: // Envoy dials a name, of another container perhaps
		return !on.IsLoopback()
	default:
		return dialled(to).Unmap() == on.Unmap()
	}
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

func isUnspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsUnspecified()
}
