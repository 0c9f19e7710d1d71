package ecssim

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows are the cells of the table below a heading, without the head of it.
func rows(t *testing.T, heading string) [][]string {
	t.Helper()
	_, section, found := strings.Cut(manual(t), "\n### "+heading+"\n")
	if !found {
		t.Fatalf("docs/simulator.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	var all [][]string
	for line := range strings.Lines(section) {
		if cells := strings.Split(strings.Trim(line, "| \n"), " | "); strings.HasPrefix(line, "| `") {
			cells[0] = strings.Trim(cells[0], "`")
			all = append(all, cells)
		}
	}
	return all
}

// names are the first cells of a table, sorted.
func names(t *testing.T, heading string) []string {
	t.Helper()
	var all []string
	for _, r := range rows(t, heading) {
		all = append(all, r[0])
	}
	slices.Sort(all)
	return all
}

// fields are the YAML names of a struct's fields, sorted.
func fields(of reflect.Type) []string {
	var all []string
	for i := range of.NumField() {
		all = append(all, of.Field(i).Tag.Get("yaml"))
	}
	slices.Sort(all)
	return all
}

// structs are all structs of a world file, by where they are reached from File.
func structs(of reflect.Type, into map[reflect.Type]bool) map[reflect.Type]bool {
	for of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || into[of] {
		return into
	}
	into[of] = true
	for i := range of.NumField() {
		structs(of.Field(i).Type, into)
	}
	return into
}

func TestTheManualHasEveryFieldOfAWorldFileAndNoOther(t *testing.T) {
	sections := map[string]reflect.Type{
		"The file": reflect.TypeFor[File](), "timing": reflect.TypeFor[FileTiming](), "clusters": reflect.TypeFor[FileCluster](),
		"instances": reflect.TypeFor[FileInstance](), "services": reflect.TypeFor[FileService](), "containers": reflect.TypeFor[FileContainer](),
		"fixed and ranges": reflect.TypeFor[FilePort](), "load_balancers and registries": reflect.TypeFor[FileTarget](),
		"timeline": reflect.TypeFor[FileStep](),
	}
	left := structs(reflect.TypeFor[File](), map[reflect.Type]bool{})
	for section, of := range sections {
		if diff := cmp.Diff(fields(of), names(t, section)); diff != "" {
			t.Errorf("%s: fields (-), docs/simulator.md (+):\n%s", section, diff)
		}
		delete(left, of)
	}
	for of := range left {
		t.Errorf("docs/simulator.md has no section for %s", of)
	}
}

func TestTheManualHasEveryStepAndFaultAndNoOther(t *testing.T) {
	if diff := cmp.Diff(slices.Sorted(slices.Values(steps())), names(t, "Steps")); diff != "" {
		t.Errorf("steps (-), docs/simulator.md (+):\n%s", diff)
	}
	var kinds, metadata []string
	for _, k := range faultKinds() {
		kinds = append(kinds, string(k))
	}
	for _, r := range rows(t, "Faults") {
		if r[2] == "yes" {
			metadata = append(metadata, r[0])
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(kinds)), names(t, "Faults")); diff != "" {
		t.Errorf("faults (-), docs/simulator.md (+):\n%s", diff)
	}
	for _, k := range faultKinds() {
		if slices.Contains(metadataFaults(), k) != slices.Contains(metadata, string(k)) {
			t.Errorf("docs/simulator.md is wrong on whether the metadata endpoint has the fault %s", k)
		}
	}
}

func TestTheManualsDefaultsAndBounds(t *testing.T) {
	var documented FileTiming
	into := reflect.ValueOf(&documented).Elem()
	for _, r := range rows(t, "timing") {
		d, err := time.ParseDuration(r[1])
		if err != nil {
			t.Fatal(err)
		}
		for i := range into.NumField() {
			if into.Type().Field(i).Tag.Get("yaml") == r[0] {
				into.Field(i).SetInt(int64(d))
			}
		}
	}
	if got := documented.over(Timing{}); got != DefaultTiming() {
		t.Errorf("docs/simulator.md has the timing %+v, it is %+v", got, DefaultTiming())
	}
	file, err := Load([]byte("clusters: [{name: c}]"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := file.World(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{"region": file.Region, "account": `"` + file.Account + `"`}
	for _, r := range rows(t, "The file") {
		if want, set := defaults[r[0]]; set && r[1] != want {
			t.Errorf("docs/simulator.md has the default %s of %s, it is %s", r[1], r[0], want)
		}
	}
	if got := rows(t, "clusters")[1][1]; got != w.clusters["c"].subnet.String() {
		t.Errorf("docs/simulator.md has the default subnet %s", got)
	}
	if maxWorldFile != 4<<20 || maxTasks != 20_000 || maxPorts != 100 || maxSkew != 5*time.Minute {
		t.Error("a bound has changed: docs/simulator.md has it in words")
	}
}

func TestTheManualsWorldsAreRight(t *testing.T) {
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(manual(t), -1)
	if len(examples) != 2 {
		t.Fatalf("%d examples", len(examples))
	}
	world, timeline := examples[0][1], examples[1][1]
	file, err := Load([]byte(world + timeline))
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Clusters[0].Services) != 3 || len(file.Timeline) != 2 {
		t.Errorf("%+v", file)
	}
	asked := regexp.MustCompile(`curl -d '(\{do: \w.*?\})'`).FindAllStringSubmatch(manual(t), -1)
	if len(asked) != 5 {
		t.Errorf("%d steps to ask for", len(asked))
	}
	for _, m := range asked {
		var step FileStep
		if err := unmarshal([]byte(m[1]), &step); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
		if err := step.check(file.known()); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
	}
}
