//go:build tools

// Package tools pins what e2e/tools/get builds: the imports keep the requirements in go.mod.
package tools

import (
	_ "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"
)
