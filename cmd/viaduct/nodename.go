package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

func registerNodeName(flags *pflag.FlagSet, value *string) {
	flags.Var(nodeName{value}, "node-name", "name of this host's Node (default: the host name)")
}

// nodeName is a flag whose value is a valid name of a Node.
type nodeName struct{ value *string }

func (n nodeName) String() string { return *n.value }
func (n nodeName) Type() string   { return "name" }
func (n nodeName) Set(s string) error {
	if why := validation.IsDNS1123Subdomain(s); len(why) > 0 {
		return fmt.Errorf("%s", strings.Join(why, "; "))
	}
	*n.value = s
	return nil
}

// orHostName returns name, or the host name in lower case if name is empty.
func orHostName(name string) (string, error) {
	if name != "" {
		return name, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("finding the host name (give --node-name instead): %w", err)
	}
	if err := (nodeName{&name}).Set(strings.ToLower(host)); err != nil {
		return "", fmt.Errorf("the host name %q is not a valid name of a Node, give --node-name: %w", host, err)
	}
	return name, nil
}
