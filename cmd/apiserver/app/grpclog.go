// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"

	"k8s.io/klog/v2"
)

const (
	// grpcWarnings is for debugging: health checks report that etcd can't be reached,
	// once and not for each attempt.
	grpcWarnings = 2
	grpcInfo     = 6
)

// grpcLogger writes gRPC's log messages to klog.
type grpcLogger struct{}

func (grpcLogger) log(level klog.Level, message string) {
	if v := klog.V(level); v.Enabled() {
		v.InfoS("gRPC", "message", message)
	}
}

// Info implements grpclog.LoggerV2.
func (l grpcLogger) Info(args ...any) { l.log(grpcInfo, fmt.Sprint(args...)) }

// Infoln implements grpclog.LoggerV2.
func (l grpcLogger) Infoln(args ...any) { l.log(grpcInfo, fmt.Sprint(args...)) }

// Infof implements grpclog.LoggerV2.
func (l grpcLogger) Infof(format string, args ...any) { l.log(grpcInfo, fmt.Sprintf(format, args...)) }

// Warning implements grpclog.LoggerV2.
func (l grpcLogger) Warning(args ...any) { l.log(grpcWarnings, fmt.Sprint(args...)) }

// Warningln implements grpclog.LoggerV2.
func (l grpcLogger) Warningln(args ...any) { l.log(grpcWarnings, fmt.Sprint(args...)) }

// Warningf implements grpclog.LoggerV2.
func (l grpcLogger) Warningf(format string, args ...any) {
	l.log(grpcWarnings, fmt.Sprintf(format, args...))
}

// Error implements grpclog.LoggerV2.
func (l grpcLogger) Error(args ...any) { klog.ErrorS(nil, "gRPC", "message", fmt.Sprint(args...)) }

// Errorln implements grpclog.LoggerV2.
func (l grpcLogger) Errorln(args ...any) { l.Error(args...) }

// Errorf implements grpclog.LoggerV2.
func (l grpcLogger) Errorf(format string, args ...any) { l.Error(fmt.Sprintf(format, args...)) }

// Fatal implements grpclog.LoggerV2; gRPC ends the process itself.
func (l grpcLogger) Fatal(args ...any) { l.Error(args...) }

// Fatalln implements grpclog.LoggerV2.
func (l grpcLogger) Fatalln(args ...any) { l.Error(args...) }

// Fatalf implements grpclog.LoggerV2.
func (l grpcLogger) Fatalf(format string, args ...any) { l.Error(fmt.Sprintf(format, args...)) }

// V implements grpclog.LoggerV2.
func (grpcLogger) V(level int) bool { return klog.V(klog.Level(grpcInfo + level)).Enabled() }
