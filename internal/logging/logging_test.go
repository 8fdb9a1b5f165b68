package logging

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestLogsAreQuietByDefault(t *testing.T) {
	for _, c := range []struct {
		verbose int
		want    string
	}{{0, "warn"}, {1, "info warn"}, {2, "debug info warn left"}, {3, "debug info warn left"}} {
		var out bytes.Buffer
		log := slog.New(handler(&out, Options{Verbosity: c.verbose})).With("part", "x")
		log.Debug("debug")
		log.Info("info")
		log.Warn("warn")
		log.Error("left", "err", errors.New("cannot write: http: Handler timeout"))
		var got []string
		for line := range strings.Lines(out.String()) {
			_, msg, _ := strings.Cut(line, "msg=")
			got = append(got, strings.Fields(msg)[0])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("-v %d times: %q, want %q", c.verbose, got, c.want)
		}
	}
}

func TestIsDisconnectError(t *testing.T) {
	for text, want := range map[string]bool{
		"cannot write: http: Handler timeout": true,
		"FinishRequest: post-timeout activity - time-elapsed: 1ms, panicked: false, err: context canceled, panic-reason: <nil>": true,
		"FinishRequest: post-timeout activity - time-elapsed: 1ms, panicked: true, err: <nil>, panic-reason: index":             false,
		`apiserver received an error that is not an metav1.Status: &errors.errorString{s:"context canceled"}: context canceled`: true,

		"apiserver received an error that is not an metav1.Status: disk full": false,
		"writing: disk full": false,
	} {
		if got := isDisconnectError(text); got != want {
			t.Errorf("%t for %q", got, text)
		}
	}
}

func TestLogFormats(t *testing.T) {
	for format, want := range map[string]string{"text": "level=ERROR msg=broken err=why",
		"json": `"level":"ERROR","msg":"broken","err":"why"`} {
		var out bytes.Buffer
		slog.New(handler(&out, Options{JSON: format == "json"})).Error("broken", "err", errors.New("why"))
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: got %q, want %q in it", format, &out, want)
		}
	}
}
