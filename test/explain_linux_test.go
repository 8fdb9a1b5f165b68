package test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

const handWritten = `
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: 10.96.0.77, ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: db}
subsets: [{addresses: [{ip: 10.9.9.9}], ports: [{port: 80}]}]
`

// The proxy repairs at once what somebody does to the table, so a foreign hand goes on until it was seen.
const corruptingScript = `
viaduct up --service-cidr 10.96.0.0/16 --pod-cidr 10.244.0.0/16 -f db.yaml & up=$!
explained() { for i in $(seq 100); do viaduct explain db >said 2>&1 || true; if grep -q "$1" said; then return 0; fi; sleep 0.05; done; cat said; return 1; }
explained "All is well: one address gets connections."
(for i in $(seq 3000); do nft delete element ip viaduct backends '{ 10.96.0.77 . tcp . 80 . 0x00000000 }' 2>/dev/null || sleep 0.002; done) & hand=$!
explained "The kernel's table lacks parts of ClusterIP 10.96.0.77:80/TCP: somebody changed it"
echo "it was seen"
kill $hand
explained "All is well: one address gets connections."
echo "it is repaired"
kill $up; wait $up
viaduct proxy cleanup
`

// TestExplainFindsWhatIsWrongInTheKernel has somebody delete from the table of this host.
func TestExplainFindsWhatIsWrongInTheKernel(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 || !canOwnNetwork(t) {
		t.Skip("needs root, and network namespaces of its own")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs the command nft")
	}
	r := withFile(t, corruptingScript, "db.yaml", handWritten)
	if r.code != 0 || !strings.Contains(r.stdout, "it was seen\n") || !strings.Contains(r.stdout, "it is repaired\n") {
		t.Errorf("the script exits %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
}
