package authentication

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.csv")
	none, err := ReadTokenFile(path)
	if err != nil {
		t.Fatalf("without a file: %v", err)
	}
	if _, ok, _ := none.AuthenticateToken(context.Background(), ""); ok {
		t.Error("the empty token logs in")
	}
	if err := os.WriteFile(path, []byte("s3cret,ann,1,\"system:masters,dev\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	users, err := ReadTokenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	who, ok, err := users.AuthenticateToken(context.Background(), "s3cret")
	if err != nil || !ok || who.User.GetName() != "ann" || strings.Join(who.User.GetGroups(),
		" ") != "system:masters dev" {
		t.Errorf("logged in %v as %+v, error %v", ok, who, err)
	}
	if _, ok, _ := users.AuthenticateToken(context.Background(), "guess"); ok {
		t.Error("a wrong token logs in")
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTokenFile(path); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("a file that other users can read: %v", err)
	}
}
