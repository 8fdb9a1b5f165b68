package main

import (
	"os"

	"github.com/spf13/pflag"

	"viaduct/internal/datadir"
)

func registerDataDir(flags *pflag.FlagSet, value *string) {
	flags.StringVar(value, "data-dir", datadir.Default(os.Getenv, os.Geteuid()),
		"directory for state, certificates and the kubeconfig; $"+datadir.Env+" sets the default")
}

func registerPKIDir(flags *pflag.FlagSet, value *string) {
	flags.StringVar(value, "pki-dir", "",
		"directory of the certificate authority; servers that share an etcd cluster need the same one (default: pki in "+
			"--data-dir)")
}
