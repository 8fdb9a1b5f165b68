package controllermanager

import (
	"slices"
	"strings"
	"testing"

	"viaduct/internal/endpoints"
)

func TestParse(t *testing.T) {
	const e, s, m = endpoints.EndpointsController, endpoints.SliceController, endpoints.MirrorController
	for given, want := range map[string][]string{
		"*":                        {e, s, m},
		"endpoints":                {e, s, m},
		"endpoints,scheduler":      {e, s, m, Scheduler},
		"*,scheduler":              {e, s, m, Scheduler},
		"*,-endpoints-controller":  {s, m},
		"endpointslice-controller": {s},
		"scheduler":                {Scheduler},
		"scheduler,*,-scheduler":   {e, s, m},
		"-endpoints,*":             {e, s, m},
		m + "," + e:                {e, m},
		"*,-" + e + ",-" + s + ",-" + m + "," + Scheduler: {Scheduler},
	} {
		t.Run(given, func(t *testing.T) {
			got, err := Parse(strings.Split(given, ","))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
	}
	for given, why := range map[string]string{
		"":             `unknown controller ""`,
		"pods":         `unknown controller "pods"`,
		"-pods":        `unknown controller "-pods"`,
		"-*":           `unknown controller "-*"`,
		"*,-endpoints": "leaves no controller to run",
	} {
		t.Run(given, func(t *testing.T) {
			if _, err := Parse(strings.Split(given, ",")); err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("the error is %v, want %q", err, why)
			}
		})
	}
}
