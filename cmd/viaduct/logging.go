package main

import (
	"io"
	"log/slog"

	"github.com/spf13/pflag"

	"viaduct/internal/logging"
)

// logOptions are the flags of every command that logs. Logs go to stderr, and output goes to stdout.
type logOptions struct {
	verbose int
	format  string
}

func (o *logOptions) register(flags *pflag.FlagSet) {
	flags.CountVarP(&o.verbose, "verbose", "v", "log more to stderr: -v logs what each part does, -vv also why")
	o.format = "text"
	flags.Var(newChoice(&o.format, "text", "json"), "log-format", "log format: text or json")
}

// start makes the logger of the process; see logging.New.
func (o *logOptions) start(w io.Writer) *slog.Logger {
	return logging.New(w, logging.Options{Verbosity: o.verbose, JSON: o.format == "json"})
}
