package main

import "github.com/spf13/cobra"

func newRunCommand(gopts *GlobalOptions) *cobra.Command {
	return &cobra.Command{Use: "run", RunE: func(*cobra.Command, []string) error { return nil }}
}
