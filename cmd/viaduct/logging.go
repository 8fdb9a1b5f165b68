package main

import (
	"io"
	"log/slog"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// logOptions says how much the parts log, and how. Logs go to stderr; what a person is meant to read goes to stdout.
type logOptions struct {
	verbose int
	format  string
}

func (o *logOptions) register(flags *pflag.FlagSet) {
	flags.CountVarP(&o.verbose, "verbose", "v", "log more to stderr: -v says what the parts do, -vv also why")
	o.format = "text"
	flags.Var(newChoice(&o.format, "text", "json"), "log-format", "how logs are written: text or json")
}

// start makes the logger for the parts, and sends client-go's klog lines and API warnings the same way. Call it once,
// before any part is made: klog has one sink for the process.
func (o *logOptions) start(w io.Writer) *slog.Logger {
	log := slog.New(o.handler(w))
	klog.SetSlogLogger(log.With("part", "client"))
	// The parts use v1 Endpoints on purpose; being told at each list that it is deprecated helps nobody.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	return log
}

func (o *logOptions) handler(w io.Writer) slog.Handler {
	opts := &slog.HandlerOptions{Level: o.level()}
	if o.format == "json" {
		return clientsLeft{slog.NewJSONHandler(w, opts)}
	}
	return clientsLeft{slog.NewTextHandler(w, opts)}
}

func (o *logOptions) level() slog.Level {
	switch o.verbose {
	case 0:
		return slog.LevelWarn
	case 1:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}
