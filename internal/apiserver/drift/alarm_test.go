package drift

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The tests below show that the alarm rings: each gives a check a sample that must fail.

// ServiceSpec stands for the type of that name in a later release, in which a field is new.
type ServiceSpec struct {
	ClusterIP string `json:"clusterIP,omitempty"`
	Surprise  *bool  `json:"surprise,omitempty"`
}

const laterSource = `package v1

type ServiceSpec struct {
	// clusterIP is the address.
	ClusterIP string
	// surprise is new. Defaults to true.
	// +featureGate=Surprise
	// +default=true
	Surprise *bool
}

type Mood string

const (
	Good Mood = "Good"
	Bad  Mood = "Bad"
)
`

const earlierRecord = `
ServiceSpec
    clusterIP  string  honoured
    gone       string  stored
`

func TestAlarmForFields(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "types.go"), []byte(laterSource), 0o600); err != nil {
		t.Fatal(err)
	}
	source := readSource(t, folder)
	have := fieldEntries([]reflect.Type{reflect.TypeFor[ServiceSpec]()}, source, nil)
	text, complaints := drift("", earlierRecord, have, fieldDecisions)
	all := strings.Join(complaints, "\n")
	for _, want := range []string{
		`ServiceSpec surprise has the decision "UNDECIDED"`,
		"the libraries differ: gone",
		"not recorded: surprise   *bool   UNDECIDED  +featureGate=Surprise; +default=true; documented default: true",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no complaint says %q:\n%s", want, all)
		}
	}
	if !slices.Equal(source.values["Mood"], []string{"Bad", "Good"}) {
		t.Errorf("values of the enum: %v", source.values["Mood"])
	}
	decided := strings.Replace(text, undecided, "stored   ", 1)
	if _, complaints := drift("", format("", decide(have, decided)), have, fieldDecisions); len(complaints) > 0 {
		t.Errorf("after a decision: %v", complaints)
	}
}

// decide gives entries the decisions of a record.
func decide(have []entry, record string) []entry {
	known := decisions(record)
	for i := range have {
		have[i].decision = known[have[i].key()]
	}
	return have
}

func TestAlarmForRules(t *testing.T) {
	rows := map[string]declaredRule{
		"core.v1.A.B +k8s:required": {broken: func() field.ErrorList { return nil }, want: "Required spec.b"},
		"core.v1.A.C +k8s:required": {},
	}
	if got := unmatched([]string{"core.v1.A.B +k8s:required", "core.v1.A.D +k8s:minimum=1"}, rows); len(got) != 2 {
		t.Errorf("complaints about a rule without a row and a row without a rule: %q", got)
	}
	for rule, row := range rows {
		if row.check() == "" {
			t.Errorf("%s: a row that checks nothing passes", rule)
		}
	}
}

func TestAlarmForDefaults(t *testing.T) {
	text, flag := reflect.TypeFor[string](), reflect.TypeFor[*bool]()
	for _, sample := range []struct {
		marker, filled string
		typ            reflect.Type
		wrong          bool
	}{
		{`+default="TCP"`, `"TCP"`, text, false},
		{`+default="TCP"`, `"UDP"`, text, true},
		{`+default="TCP"`, "", text, true},
		{`+default=""`, "", text, false},
		{`+default=false`, "", flag, true},
		{`+featureGate=A`, "", flag, false},
	} {
		if got := missingDefault(sample.marker, sample.filled, sample.typ); (got != "") != sample.wrong {
			t.Errorf("%s, filled %s: %q", sample.marker, sample.filled, got)
		}
	}
}

func TestAlarmForResources(t *testing.T) {
	type later interface{ UpdateSurprise() }
	type group interface{ Pods(namespace string) later }
	if _, unknown := clientResources(reflect.TypeFor[group]()); !slices.Equal(unknown, []string{"pods: UpdateSurprise"}) {
		t.Errorf("unknown methods: %v", unknown)
	}
}

func TestAlarmForReleases(t *testing.T) {
	if minorOf("v0.37.2") != "v0.37" || minorOf("v0.38.0") == librariesRead {
		t.Error("a new minor release goes unnoticed")
	}
}
