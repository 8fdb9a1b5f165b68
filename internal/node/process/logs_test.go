package process

import (
	"path/filepath"
	"strconv"
	"testing"
)

func TestLogsAreBounded(t *testing.T) {
	dir := t.TempDir()
	for n := range int32(keptLogs + 3) {
		log, err := openLog(dir, n)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(left) != keptLogs || filepath.Base(left[0]) != strconv.Itoa(3)+".log" {
		t.Errorf("logs left: %v, %v", left, err)
	}
}
