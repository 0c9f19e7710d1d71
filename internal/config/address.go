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

// Setting is the address as a setting gives it: HOST:PORT or unix:PATH; "" for the zero Address.
func (a Address) Setting() string {
	switch a.Network {
	case "":
		return ""
	case "unix":
		return "unix:" + a.Path
	default:
		return a.String()
	}
}

// parseAddress reads HOST:PORT or unix:PATH.
func parseAddress(text string) (Address, error) {
	if path, unix := strings.CutPrefix(text, "unix:"); unix {
		control := strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f })
		if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || len(path) > maxSocketPath || control {
			return Address{}, fmt.Errorf("want unix: and the absolute path of a socket, of at most %d bytes", maxSocketPath)
		}
		return Address{Network: "unix", Path: path}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return Address{}, errors.New("want HOST:PORT or unix:PATH, such as 127.0.0.1:9902 or [::1]:9902")
	}
	number, err := parsePort(port)
	if err != nil {
		return Address{}, err
	}
	if ip, err := netip.ParseAddr(host); err != nil && !validHost(host) || ip.Zone() != "" {
		return Address{}, errors.New("want HOST:PORT, with an IP address (without a zone) or a name as HOST")
	}
	return Address{Network: "tcp", Host: host, Port: number}, nil
}

// validHost tells whether host can be a name: letters, digits, hyphens, underscores (docker has them) and dots. What ends in
// a number is an IP address gone wrong. Source: WHATWG URL, "ends in a number".
func validHost(host string) bool {
	if host == "" || len(host) > 253 || strings.HasPrefix(host, "-") || digits(host[strings.LastIndexByte(host, '.')+1:]) {
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

// overlap tells whether two addresses can't both be listened on. Addresses that aren't set don't overlap.
func overlap(a, b Address) bool {
	if a.Network != b.Network || a.Network == "" {
		return false
	}
	if a.Network == "unix" {
		return a.Path == b.Path
	}
	if a.Port != b.Port || a.Port == 0 {
		return false
	}
	return strings.EqualFold(a.Host, b.Host) || unspecified(a.Host) || unspecified(b.Host) || local(a.Host) && local(b.Host)
}

// unspecified tells whether a host stands for all addresses: 0.0.0.0 and ::, which takes IPv4 too.
func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsUnspecified()
}

// local tells whether a host is 127.0.0.1, or the name for it.
func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap() == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || strings.EqualFold(host, "localhost")
}
