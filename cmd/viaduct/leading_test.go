package main

import (
	"slices"
	"strings"
	"testing"

	"viaduct/internal/endpoints"
)

func TestChosenControllers(t *testing.T) {
	const e, s, m = endpoints.EndpointsController, endpoints.SliceController, endpoints.MirrorController
	for given, want := range map[string][]string{
		"*":                        {e, s, m},
		"endpoints":                {e, s, m},
		"endpoints,scheduler":      {e, s, m, schedulerController},
		"*,scheduler":              {e, s, m, schedulerController},
		"*,-endpoints-controller":  {s, m},
		"endpointslice-controller": {s},
		"scheduler":                {schedulerController},
		"scheduler,*,-scheduler":   {e, s, m},
		"-endpoints,*":             {e, s, m},
		m + "," + e:                {e, m},
		"*,-" + e + ",-" + s + ",-" + m + "," + schedulerController: {schedulerController},
	} {
		t.Run(given, func(t *testing.T) {
			got, err := chosenControllers(strings.Split(given, ","))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("chosen are %v, %v; want %v", got, err, want)
			}
		})
	}
	for given, why := range map[string]string{
		"":             `there is no ""`,
		"pods":         `there is no "pods"`,
		"-pods":        `there is no "-pods"`,
		"-*":           `there is no "-*"`,
		"*,-endpoints": "there would be nothing to do",
	} {
		t.Run(given, func(t *testing.T) {
			if _, err := chosenControllers(strings.Split(given, ",")); err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("the error is %v, want %q", err, why)
			}
		})
	}
}
