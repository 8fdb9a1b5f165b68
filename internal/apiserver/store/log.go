package store

import (
	"log/slog"
	"maps"
	"slices"

	"go.uber.org/zap/zapcore"
)

// logCore passes etcd's fatal messages to slog. etcd ends the process with such a message when it cannot go on, for
// example on a full disk or a damaged file.
type logCore struct {
	log    *slog.Logger
	fields []zapcore.Field
}

// Enabled implements zapcore.Core.
func (c logCore) Enabled(level zapcore.Level) bool { return level >= zapcore.DPanicLevel }

// With implements zapcore.Core.
func (c logCore) With(fields []zapcore.Field) zapcore.Core {
	return logCore{log: c.log, fields: append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

// Check implements zapcore.Core.
func (c logCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c logCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(values)
	}
	args := make([]any, 0, 2*len(values.Fields))
	for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
		args = append(args, name, values.Fields[name])
	}
	c.log.Error("the store ends: "+entry.Message, args...)
	return nil
}

// Sync implements zapcore.Core.
func (logCore) Sync() error { return nil }
