// Command nightjar keeps an Envoy's routes on the running containers of Amazon ECS services. See `nightjar --help`.
package main

import (
	"os"

	"github.com/groboclown/nightjar-mesh/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
