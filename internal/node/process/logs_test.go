package process

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// The last lines are found wherever the blocks that are read from the end begin.
func TestSeekTail(t *testing.T) {
	long := strings.Repeat("x", tailBlock-1)
	for _, tt := range []struct {
		name, text string
		lines      int
		want       string
	}{
		{"empty", "", 3, ""},
		{"fewer lines than asked", "a\nb\n", 3, "a\nb\n"},
		{"the last has no end", "a\nb", 1, "b"},
		{"empty lines count", "a\n\n\n", 2, "\n\n"},
		{"over several blocks", "a\n" + long + "\n" + long + "\nb\n", 2, long + "\nb\n"},
		{"a line end at a block's start", "a" + "\n" + long, 1, long},
		{"none", "a\nb\n", 0, ""},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := seekTail(file, tt.lines); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		got, err := io.ReadAll(file)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %d bytes, %v; want %d", tt.name, len(got), err, len(tt.want))
		}
		_ = file.Close() // it was only read
	}
}
