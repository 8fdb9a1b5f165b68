// Package logging makes the logger of a Viaduct process, and routes the logs of the Kubernetes libraries to it.
package logging

import (
	"io"
	"log/slog"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// Options say how much is logged, and in which format.
type Options struct {
	Verbosity int  // 0: warnings and errors; 1: also info; 2 and more: also debug
	JSON      bool // the default format is slog's text format
}

// New returns a logger that writes to w. It also sends the logs of the Kubernetes libraries there, and drops the API
// server's deprecation warnings: the controllers use the deprecated v1 Endpoints on purpose. Call it once, before any
// client is made, because klog has one sink for the whole process.
func New(w io.Writer, o Options) *slog.Logger {
	log := slog.New(handler(w, o))
	klog.SetSlogLogger(log.With("part", "client"))
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	return log
}

func handler(w io.Writer, o Options) slog.Handler {
	options := &slog.HandlerOptions{Level: level(o.Verbosity)}
	if o.JSON {
		return withoutDisconnects{slog.NewJSONHandler(w, options)}
	}
	return withoutDisconnects{slog.NewTextHandler(w, options)}
}

func level(verbosity int) slog.Level {
	switch verbosity {
	case 0:
		return slog.LevelWarn
	case 1:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}
