package owntask

import (
	"context"
	"os"
	"testing"

	"github.com/groboclown/nightjar-mesh/internal/mesh"
	"github.com/groboclown/nightjar-mesh/internal/taskmeta"
)

// FuzzMetadata reads arbitrary answers of the task metadata endpoint to endpoints.
func FuzzMetadata(f *testing.F) {
	seed := func(file string) []byte {
		text, err := os.ReadFile("../taskmeta/testdata/" + file)
		if err != nil {
			f.Fatal(err)
		}
		return text
	}
	f.Add(seed("task.json"), seed("container.json"), "nightjar", uint16(0))
	f.Add(seed("task.json"), seed("container.json"), "nightjar", uint16(8080))
	const task = `{"Cluster":"c","TaskARN":"arn:aws:ecs:::task/1","Containers":[{"Name":"web","Networks":[{"NetworkMode":"bridge",`
	f.Add([]byte(task+`"IPv4Addresses":["0.0.0.0","::ffff:0.0.0.0","172.17.0.2"]}],"Ports":[{"ContainerPort":80}]}]}`), []byte(`{}`), "web", uint16(0))
	f.Add([]byte(task+`"IPv6Addresses":["fe80::1%eth0"]}]}]}`), []byte(`{}`), "web", uint16(1))
	f.Fuzz(func(t *testing.T, task, own []byte, container string, port uint16) {
		r := &Reader{Fetch: func(context.Context) (*taskmeta.Task, error) { return taskmeta.Parse(task, own) }}
		ref := mesh.ServiceRef{Own: true, Container: container, Port: port, ContainerVar: "CONTAINER_NAME_1", PortVar: "CONTAINER_PORT_1"}
		for _, reading := range r.Read(t.Context(), []mesh.ServiceRef{ref}) {
			if (reading.Err == nil) == (reading.Service == nil) {
				t.Fatalf("neither whole nor an error: %+v", reading)
			}
			if reading.Err != nil {
				continue
			}
			if len(reading.Service.Endpoints)+len(reading.Service.Excluded) != 1 {
				t.Errorf("one container is one endpoint, or none for a reason: %+v", reading.Service)
			}
			for _, e := range reading.Service.Endpoints {
				if a := e.Addr.Addr(); e.Addr.Port() == 0 || !a.IsValid() || a.Unmap().IsUnspecified() || a.Unmap().IsMulticast() || a.Zone() != "" {
					t.Errorf("nothing can be sent to %s", e.Addr)
				}
			}
		}
	})
}
