// SPDX-License-Identifier: Apache-2.0

package embedetcd

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// verbosityInfo is the verbosity of etcd's informational messages: about forty lines at
// each start, which are rarely of interest.
const verbosityInfo = 4

// transient holds warnings from the first seconds of a new member, which has not written
// its first batch yet. etcd retries and succeeds.
var transient = map[string]bool{
	"Failed to detect schema version":  true,
	"failed to update storage version": true,
}

// newLogger returns a zap logger that writes through klog, so etcd's lines have the same
// format (text or JSON) and destination as the server's. level is the lowest level that
// is logged without -v=4.
func newLogger(logger klog.Logger, level zapcore.LevelEnabler) *zap.Logger {
	return zap.New(&klogCore{logger: logger, level: level})
}

// klogCore is a zapcore.Core on top of klog.
type klogCore struct {
	logger klog.Logger
	level  zapcore.LevelEnabler
	fields []zapcore.Field
}

func (c *klogCore) verbose() bool { return c.logger.V(verbosityInfo).Enabled() }

// Enabled implements zapcore.LevelEnabler.
func (c *klogCore) Enabled(level zapcore.Level) bool {
	return c.level.Enabled(level) || (level >= zapcore.InfoLevel && c.verbose())
}

// With implements zapcore.Core.
func (c *klogCore) With(fields []zapcore.Field) zapcore.Core {
	clone := *c
	clone.fields = append(append([]zapcore.Field(nil), c.fields...), fields...)
	return &clone
}

// Check implements zapcore.Core.
func (c *klogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) && (!transient[entry.Message] || c.verbose()) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c *klogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range c.fields {
		field.AddTo(encoder)
	}
	for _, field := range fields {
		field.AddTo(encoder)
	}
	args := make([]any, 0, 2*len(encoder.Fields))
	for _, field := range append(append([]zapcore.Field(nil), c.fields...), fields...) {
		if value, ok := encoder.Fields[field.Key]; ok {
			args = append(args, field.Key, value)
		}
	}
	switch {
	case entry.Level >= zapcore.ErrorLevel:
		c.logger.Error(nil, entry.Message, args...)
	case c.level.Enabled(entry.Level):
		c.logger.Info(entry.Message, args...)
	default:
		c.logger.V(verbosityInfo).Info(entry.Message, args...)
	}
	return nil
}

// Sync implements zapcore.Core.
func (c *klogCore) Sync() error { return nil }
