package ecssim

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWorldFileThatIsWrongSaysWhere(t *testing.T) {
	service := func(text string) string {
		return "clusters:\n- name: c1\n  instances: [{id: i-1, address: 127.0.0.2}]\n  services:\n  - " + text
	}
	tests := map[string]struct{ text, want string }{
		"unknown field":    {"clusters:\n- surname: c1\n", "[2:3] unknown field"},
		"wrong type":       {"seed: many\n", "[1:7]"},
		"no network":       {service("{name: web, desired: 1}"), `c1/web: network is ""; want bridge, host, awsvpc or none`},
		"no such launch":   {service("{name: web, network: bridge, launch: MOON}"), `launch is "MOON"`},
		"Fargate bridge":   {service("{name: web, network: bridge, launch: FARGATE}"), "Fargate has no network mode bridge"},
		"no instance":      {"clusters: [{name: c1, services: [{name: web, network: bridge}]}]", "has no instances"},
		"wrong instance":   {"clusters: [{name: c1, instances: [{id: x}]}]", `instance x: the ID is "x"; want one that begins with i- or mi-`},
		"wrong subnet":     {"clusters: [{name: c1, subnet: x}]", `subnet "x" is none`},
		"too many tasks":   {service("{name: web, network: bridge, desired: 30000}"), "a world has at most 20000 tasks"},
		"unknown step":     {"timeline: [{at: 1s, do: dance}]", `the timeline at 1s: there is no step "dance"`},
		"unknown service":  {"timeline: [{at: 1s, do: deploy, service: c1/web}]", `the world has no "c1/web"`},
		"wrong docker":     {"clusters: [{name: c1, instances: [{id: i-1, docker: 127.0.2.0/31}]}]", `instance i-1: docker "127.0.2.0/31" is none`},
		"docker of IPv6":   {"clusters: [{name: c1, instances: [{id: i-1, docker: \"2001:db8::/64\"}]}]", `docker "2001:db8::/64" is no IPv4 subnet`},
		"docker of two":    {"clusters: [{name: c1, instances: [{id: i-1, docker: 127.0.2.0/24}, {id: i-2, docker: 127.0.0.0/16}]}]", "instance i-2: docker 127.0.0.0/16 is also the instance i-1's"},
		"two ECS clusters": {"clusters: [{name: c1}, {name: c1}]", "ECS cluster c1: there are two of this name"},
		"two instances":    {"clusters: [{name: c1, instances: [{id: i-1}, {id: i-1}]}]", "instance i-1: there are two of this ID"},
		"two services":     {service("{name: web, network: host}\n  - {name: web, network: host}"), "service c1/web: there are two of this name"},
		"two containers":   {service("{name: web, network: host, containers: [{name: app}, {name: app}]}"), "container app: there are two of this name"},
		"nameless":         {service("{name: web, network: host, containers: [{ports: [1]}]}"), "container : name is missing"},
		"port 0":           {service("{name: web, network: host, containers: [{name: app, unpublished: [0]}]}"), "container app: a port is 0"},
		"range":            {service("{name: web, network: host, containers: [{name: app, ranges: [{container: 9, end: 8}]}]}"), "a range as many"},
		"a tag":            {"timeline: !x y", "it is YAML that can't be read"},
		"no container":     {service("{name: web, network: bridge}\ntimeline: [{at: 1s, do: container, service: c1/web, status: STOPPED}]"), `c1/web has no container ""`},
		"no status":        {service("{name: web, network: bridge, containers: [{name: app}]}\ntimeline: [{at: 1s, do: container, service: c1/web, container: app}]"), `status is ""; want one of [PENDING CREATED RUNNING STOPPED]`},
		"no health":        {service("{name: web, network: bridge, containers: [{name: app}]}\ntimeline: [{at: 1s, do: health, service: c1/web, container: app}]"), `health is ""; want one of [HEALTHY UNHEALTHY UNKNOWN]`},
		"unknown fault":    {"timeline: [{at: 1s, do: fault, fault: rain}]", `there is no fault "rain"`},
		"no such action":   {"timeline: [{at: 1s, do: fault, fault: throttle, action: Dance}]", `a fault strikes no action "Dance"`},
		"not of metadata":  {"timeline: [{at: 1s, do: fault, fault: throttle, action: metadata}]", `there is no fault of the metadata endpoint "throttle"`},
		"back in time":     {"timeline: [{at: 1s, do: fault, fault: throttle, for: -1s}]", "a fault can't last for 0 calls or -1s"},
		"denied":           {"denied: [ListTasks, StopTask]", `denied has "StopTask"; there are [ListTasks`},
		"too large":        {strings.Repeat("#", maxWorldFile+1), "more than 4194304 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Load([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestTheTimelineHappensInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, err := LoadFile("../../examples/world.yaml")
		if err != nil {
			t.Fatal(err)
		}
		sim, err := New(file)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var said []string
		go func() {
			err := sim.Run(t.Context(), func(s FileStep) { said = append(said, time.Since(start).String()+" "+s.String()) })
			if err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(100 * time.Second)
		synctest.Wait()
		want := "20s deploy shop/orders|40s scale shop/basket to 4|1m0s kill shop/orders|1m15s fault throttle ListTasks"
		if got := strings.Join(said, "|"); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if n := len(sim.World.Tasks("shop", "basket")); n != 4 {
			t.Errorf("%d tasks of basket", n)
		}
	})
}

func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("../../examples/world.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte("clusters: [{name: c, instances: [{id: i-}], services: [{name: s, network: bridge, desired: 3, containers: [{ranges: [{container: 1, end: 50}]}]}]}]"))
	f.Add([]byte("timing: {provision: -1s, pull: 9999h}\nclusters: [{name: c, subnet: \"::/127\"}]"))
	f.Add([]byte("timeline: [{at: -1s, do: heal}]"))
	f.Add([]byte("clusters: [{name: c, services: [{name: s, network: awsvpc, launch: FARGATE, desired: 2, controller: CODE_DEPLOY, overlap: 1s}]}]\n" +
		"timeline: [{do: deploy, service: c/s}, {do: primary, service: c/s}, {do: kill, service: c/s}, {do: delete, service: c/s}, {do: deploy, service: c/s}]"))
	f.Add([]byte("clusters: [{name: c, instances: [{id: i-}], services: [{name: s, network: bridge, desired: 1, containers: [{name: a, ports: [1]}]}]}]\n" +
		"timeline: [{do: restart, service: c/s}, {do: health, service: c/s, container: a, health: UNHEALTHY}, {do: run-task, service: c/s}, " +
		"{do: container, service: c/s, container: a, status: STOPPED}, {do: lose-instance, service: c/i-}, {do: drain-instance, service: c/i-}, {do: interrupt, service: c/s}, {do: stop, service: c/s}, {do: scale, service: c/s, to: 3}]"))
	f.Add([]byte("timeline: !00 00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Load(text)
		if err != nil {
			return
		}
		start := time.Unix(1_700_000_000, 0)
		sim, err := NewAt(file, start)
		if err != nil {
			t.Fatalf("Load took what makes no world: %v", err)
		}
		sim.World.Advance(start.Add(time.Minute))
		for n, step := range file.Timeline[:min(10, len(file.Timeline))] {
			_ = sim.Do(step) // what can't happen now is an error
			sim.World.Advance(start.Add(time.Duration(n+2) * time.Minute))
		}
		_ = sim.World.Apps()
	})
}
