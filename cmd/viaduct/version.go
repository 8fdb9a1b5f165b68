package main

import (
	"fmt"
	"runtime/debug"
	"strings"
	_ "unsafe" // for go:linkname

	"github.com/spf13/cobra"
	componentversion "k8s.io/component-base/version"
)

// version is Viaduct's own.
const version = "v0.1.0-dev"

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of Viaduct and of its Kubernetes libraries",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "viaduct     %s%s\nkubernetes  %s\n", version, commit(info),
				kubernetesVersion(info))
			return err
		},
	}
}

// kubernetesVersion is the release whose libraries are linked: k8s.io/kubectl v0.37.2 is Kubernetes v1.37.2.
func kubernetesVersion(info *debug.BuildInfo) string {
	if info != nil {
		for _, dep := range info.Deps {
			if minor, ok := strings.CutPrefix(dep.Version, "v0."); ok && dep.Path == "k8s.io/kubectl" {
				return "v1." + minor
			}
		}
	}
	return "v" + componentversion.DefaultKubeBinaryVersion + ".0"
}

// commit is the revision the binary was built from, if the build recorded it.
func commit(info *debug.BuildInfo) string {
	if info == nil {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return " (" + s.Value[:12] + ")"
		}
	}
	return ""
}

// kubernetesGitVersion is the variable that Kubernetes' own builds set with -ldflags -X. Without it `kubectl version`
// fails, and `go run` and a plain `go build` pass no flags; SetDynamicVersion takes only what agrees with the variable.
//
//go:linkname kubernetesGitVersion k8s.io/component-base/version.gitVersion
var kubernetesGitVersion string

// claimKubernetesVersion makes the linked libraries report the release they come from. A build with ldflags is left
// alone.
func claimKubernetesVersion() error {
	if !strings.HasPrefix(kubernetesGitVersion, "v0.0.0-master") {
		return nil
	}
	info, _ := debug.ReadBuildInfo()
	kubernetesGitVersion = kubernetesVersion(info)
	if err := componentversion.SetDynamicVersion(kubernetesGitVersion); err != nil {
		return fmt.Errorf("setting the Kubernetes version: %w", err)
	}
	return nil
}
