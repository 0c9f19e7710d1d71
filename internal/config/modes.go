package config

// ModeDefault is a default that depends on the own network mode.
type ModeDefault struct {
	// Name is the variable, or for people where there is none what it is of.
	Name string
	// AWSVPC, Host and Bridge are the defaults; without a metadata endpoint that of awsvpc counts.
	AWSVPC, Host, Bridge string
	// Note is what else people should know.
	Note string
}

// For is the default in a network mode: awsvpc, host, or bridge for any other.
func (d ModeDefault) For(mode string) string {
	switch mode {
	case "awsvpc":
		return d.AWSVPC
	case "host":
		return d.Host
	default:
		return d.Bridge
	}
}

// adminAddress is the row of ModeDefaults for the address of Envoy's admin API, which no variable sets.
const adminAddress = "Envoy's admin, in the bootstrap"

// ModeDefaults are the defaults by network mode.
func ModeDefaults() []ModeDefault {
	return []ModeDefault{
		{
			Name: "NIGHTJAR_XDS_LISTEN", AWSVPC: "127.0.0.1:9902", Host: "127.0.0.1:9902", Bridge: "unix:/shared/xds.sock",
			Note: "in bridge mode containers share no loopback, and two-way links can't be",
		},
		{
			Name: "EGRESS_LISTEN_ADDRESS", AWSVPC: "127.0.0.1", Host: "127.0.0.1", Bridge: "0.0.0.0",
			Note: "in bridge mode apps reach it through `links: [\"envoy\"]` at `http://envoy:PORT`",
		},
		{
			Name: "INGRESS_LISTEN_ADDRESS", AWSVPC: "0.0.0.0", Host: "0.0.0.0", Bridge: "0.0.0.0",
			Note: "in awsvpc `::` where the own task has no IPv4 address",
		},
		{
			Name: adminAddress, AWSVPC: "127.0.0.1", Host: "127.0.0.1", Bridge: "127.0.0.1",
			Note: "in bridge mode 0.0.0.0 only if ENVOY_CONTAINER_NAME is set (unset, nobody else can ask it)",
		},
	}
}
