package apiserver_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver/apitest"
)

// wantStatus checks that the response is an error, and which.
func wantStatus(t *testing.T, a answer, code int, reason metav1.StatusReason, says string) {
	t.Helper()
	s := a.status()
	if a.code != code || s.Code != int32(code) || s.Reason != reason || !strings.Contains(s.Message, says) {
		t.Errorf("%d (%d) %s %q, want %d %s %q", a.code, s.Code, s.Reason, s.Message, code, reason, says)
	}
}

// A write with a resourceVersion is refused if the object has another version.
func TestPreconditions(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	one := configMaps + "/one"
	first := c.must("POST", configMaps, named("one"))
	stale, uid := at(first, "metadata.resourceVersion"), at(first, "metadata.uid")
	put := func(version, uid string) answer {
		return c.do("PUT", one,
			fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one","resourceVersion":%q,"uid":%q},"data":{"n":"1"}}`, version, uid))
	}
	if a := put(stale, uid); a.code != 200 {
		t.Fatalf("a write on what is there: %d %s", a.code, a.body)
	}
	conflict := metav1.StatusReasonConflict
	wantStatus(t, put(stale, ""), 409, conflict,
		`Operation cannot be fulfilled on configmaps "one": the object has been modified; please apply your changes to the latest version and try again`)
	wantStatus(t, put("", "another"), 409, conflict, "Precondition failed: UID in precondition: another")
	wantStatus(t, c.do("PATCH", one, `{"metadata":{"resourceVersion":"`+stale+`"},"data":{"a":"b"}}`, "Content-Type",
		mergeType), 409, conflict, "the object has been modified")
	for precondition, says := range map[string]string{
		`{"uid":"another"}`: "the UID in the precondition (another) does not match the UID in record",
		`{"resourceVersion":"` + stale + `"}`: "the ResourceVersion in the precondition (" + stale +
			") does not match the ResourceVersion in record",
	} {
		wantStatus(t, c.do("DELETE", one, `{"apiVersion":"v1","kind":"DeleteOptions","preconditions":`+precondition+`}`), 409,
			conflict, says)
	}
	wantStatus(t, c.do("POST", configMaps, named("one")), 409, metav1.StatusReasonAlreadyExists,
		`configmaps "one" already exists`)
	wantStatus(t, c.do("POST", configMaps, `{"metadata":{"name":"two","resourceVersion":"1"}}`), 400,
		metav1.StatusReasonBadRequest, "resourceVersion should not be set on objects to be created")
	wantStatus(t, c.do("PUT", configMaps+"/none", named("none")), 404, metav1.StatusReasonNotFound,
		`configmaps "none" not found`)
	wantStatus(t, c.do("DELETE", configMaps+"/none", ""), 404, metav1.StatusReasonNotFound, `configmaps "none" not found`)
	if s := c.do("DELETE", one,
		`{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"`+uid+
			`"}}`).status(); s.Status != metav1.StatusSuccess || string(s.Details.UID) != uid {
		t.Errorf("a deletion of what is there: %+v", s)
	}
}

// A patch without a resourceVersion is retried on conflicts: of many concurrent ones none is lost or refused.
func TestPatchesAtOnce(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	c.must("POST", configMaps, named("shared"))
	var patching sync.WaitGroup
	answers := make([]answer, 20)
	for i := range answers {
		patching.Go(func() {
			answers[i] = c.do("PATCH", configMaps+"/shared", fmt.Sprintf(`{"data":{"key-%d":"x"}}`, i), "Content-Type",
				mergeType)
		})
	}
	patching.Wait()
	for i, a := range answers {
		if a.code != 200 {
			t.Errorf("patch %d: %d %s", i, a.code, a.body)
		}
	}
	data, _ := c.must("GET", configMaps+"/shared", "")["data"].(map[string]any)
	if len(data) != len(answers) {
		t.Errorf("%d of %d patches are there", len(data), len(answers))
	}
}

// The server sets the metadata that belongs to it, and clients cannot change it.
func TestMetadata(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	made := c.must("POST", configMaps,
		`{"metadata":{"generateName":"gen-","uid":"mine","creationTimestamp":"2001-01-01T00:00:00Z","generation":7,"selfLink":"/x","deletionTimestamp":"2001-01-01T00:00:00Z","deletionGracePeriodSeconds":5}}`)
	name := at(made, "metadata.name")
	if !strings.HasPrefix(name, "gen-") || len(name) != len("gen-")+5 {
		t.Errorf("generateName makes %q", name)
	}
	if at(made, "metadata.uid") == "mine" || strings.HasPrefix(at(made, "metadata.creationTimestamp"), "2001") {
		t.Errorf("the client chose uid or creation: %v", made["metadata"])
	}
	for _, left := range []string{"metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds",
		"metadata.selfLink"} {
		if got := at(made, left); got != "" {
			t.Errorf("%s is %s", left, got)
		}
	}
	for _, p := range []struct{ field, value string }{{"uid", `"other"`}, {"creationTimestamp", `"2001-01-01T00:00:00Z"`},
		{"generateName", `"other-"`}, {"generation", "9"}} {
		a := c.do("PATCH", configMaps+"/"+name, `{"metadata":{"`+p.field+`":`+p.value+`}}`, "Content-Type", mergeType)
		if now := a.object(); a.code == 200 && p.field != "generateName" && at(now, "metadata."+p.field) != at(made,
			"metadata."+p.field) {
			t.Errorf("%s can be changed: %s", p.field, a.body)
		}
	}
	again := c.must("POST", configMaps, `{"metadata":{"generateName":"gen-"}}`)
	if at(again, "metadata.name") == name {
		t.Errorf("one name is generated twice: %s", name)
	}
}

// fieldValidation decides what happens with unknown and duplicate fields (KEP-2885).
func TestFieldValidation(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	body := func(name string) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name +
			`"},"colour":"green","data":{"a":"1","a":"2"}}`
	}
	unknown, twice := `unknown field "colour"`, `duplicate field "data.a"`
	for name, validation := range map[string]string{"by-default": "", "warned": "Warn", "ignored": "Ignore"} {
		a := c.do("POST", query(configMaps, "fieldValidation", validation), body(name))
		if a.code != 201 || at(a.object(), "data.a") != "2" || at(a.object(), "colour") != "" {
			t.Errorf("%q: %d %s", validation, a.code, a.body)
		}
		warnings := strings.Join(a.header.Values("Warning"), " ")
		warned := strings.Contains(warnings, strings.ReplaceAll(unknown, `"`, `\"`)) && strings.Contains(warnings,
			strings.ReplaceAll(twice, `"`, `\"`))
		if warned != (validation != "Ignore") {
			t.Errorf("%q: warnings %s", validation, warnings)
		}
	}
	strict := configMaps + "?fieldValidation=Strict"
	wantStatus(t, c.do("POST", strict, body("strict")), 400, metav1.StatusReasonBadRequest,
		`strict decoding error: `+unknown+`, `+twice)
	wantStatus(t, c.do("PATCH", configMaps+"/warned?fieldValidation=Strict", `{"colour":"red"}`, "Content-Type",
		mergeType), 422, metav1.StatusReasonInvalid, unknown)
	wantStatus(t, c.do("PATCH", configMaps+"/warned?fieldValidation=Strict", `{"colour":"red"}`, "Content-Type", smpType),
		422, metav1.StatusReasonInvalid, unknown)
	wantStatus(t, c.do("POST", strict,
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z}\ndata: {a: one}\ndata: {b: two}\n", "Content-Type", yamlType),
		400, metav1.StatusReasonBadRequest, `key "data" already set in map`)
}

// An error names every invalid field as a cause.
func TestCauses(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	a := c.do("POST", "/api/v1/namespaces/default/services",
		`{"metadata":{"name":"x"},"spec":{"sessionAffinity":"Cookie","ports":[{"port":0},{"port":70000,"name":"b"}]}}`)
	wantStatus(t, a, 422, metav1.StatusReasonInvalid, `Service "x" is invalid: [`)
	details := a.status().Details
	if details == nil || details.Kind != "Service" || details.Name != "x" || details.Group != "" {
		t.Fatalf("it is about %+v", details)
	}
	var causes []string
	for _, cause := range details.Causes {
		causes = append(causes, string(cause.Type)+" "+cause.Field)
	}
	for _, want := range []string{"FieldValueRequired spec.ports[0].name", "FieldValueInvalid spec.ports[0].port",
		"FieldValueInvalid spec.ports[1].port", "FieldValueNotSupported spec.sessionAffinity"} {
		if !slices.Contains(causes, want) {
			t.Errorf("no cause %q in %q", want, causes)
		}
	}
}

// managedFields records the writer of each field by manager, operation and subresource.
func TestManagedFields(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	services := "/api/v1/namespaces/default/services"
	c.must("POST", services+"?fieldManager=maker",
		`{"metadata":{"name":"owned"},"spec":{"ports":[{"port":80,"name":"a"}]}}`)
	applied := `{"apiVersion":"v1","kind":"Service","metadata":{"name":"owned","labels":{"l":"1"}},"spec":{"ports":[{"port":81,"name":"b"}]}}`
	c.must("PATCH", services+"/owned?fieldManager=applier", applied, "Content-Type", applyType)
	c.must("PATCH", services+"/owned/status?fieldManager=balancer",
		`{"status":{"loadBalancer":{}, "conditions":[{"type":"T","status":"True","reason":"R","message":"","lastTransitionTime":"2024-01-01T00:00:00Z"}]}}`, "Content-Type", mergeType)
	now := c.must("GET", services+"/owned", "")
	var owners []string
	entries, _ := now["metadata"].(map[string]any)["managedFields"].([]any)
	for _, e := range entries {
		owners = append(owners, strings.Join([]string{at(e, "manager"), at(e, "operation"), at(e, "apiVersion"),
			at(e, "subresource"), at(e, "fieldsType")}, " "))
	}
	slices.Sort(owners)
	if want := []string{"applier Apply v1  FieldsV1", "balancer Update v1 status FieldsV1",
		"maker Update v1  FieldsV1"}; !slices.Equal(owners, want) {
		t.Errorf("owners %q, want %q", owners, want)
	}
	c.must("PATCH", services+"/owned?fieldManager=applier",
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"owned"}}`, "Content-Type", applyType)
	now = c.must("GET", services+"/owned", "")
	if at(now, "metadata.labels") != "" || at(now, "spec.ports.0.name") != "a" || at(now, "spec.ports.1") != "" {
		t.Errorf("what is no longer applied is still there: %v", now)
	}
}
