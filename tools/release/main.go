// Command release builds the images and binaries of a release, pushes the images and checks the stated versions. It needs no container engine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "release:", err)
		stop()
		os.Exit(1)
	}
}

const usage = `release builds the images and binaries of a release, pushes the images and checks the stated versions.

  release images    write OCI layouts of the images, with SBOMs
  release push      push the images to a registry, and print what to sign: "image REF@DIGEST" and "sbom REF@DIGEST FILE"
  release binaries  write archives of the binaries, and SHA256SUMS
  release check     compare the versions in charts, kit and docs with --version

Each has its flags: release images -h
`

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		args = []string{"help"}
	}
	fs := flag.NewFlagSet("release "+args[0], flag.ContinueOnError)
	fs.SetOutput(stderr)
	root := fs.String("root", ".", "the checkout")
	version := fs.String("version", "", "the version, without a v before it; required, except by push")
	switch args[0] {
	case "images", "binaries":
		folder, platforms, write := "bin/images", "linux/amd64,linux/arm64", writeImages
		if args[0] == "binaries" {
			folder, platforms, write = "bin/release", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64", writeBinaries
		}
		fs.StringVar(&folder, "out", folder, "the folder to write; its old content is removed")
		fs.StringVar(&platforms, "platforms", platforms, "comma-separated list of os/arch")
		if err := fs.Parse(args[1:]); err != nil {
			return err
		}
		on, err := parsePlatforms(platforms)
		if err := errors.Join(err, checkVersion(*version)); err != nil {
			return err
		}
		s, err := readState(ctx, *root, *version)
		if err != nil {
			return err
		}
		return write(ctx, s, programs, on, folder)
	case "push":
		from := fs.String("from", "bin/images", "the output folder of release images")
		to := fs.String("to", published, "the registry with a folder, such as ghcr.io/owner/folder")
		if err := fs.Parse(args[1:]); err != nil {
			return err
		}
		return pushImages(ctx, *from, *to, stdout)
	case "check":
		if err := fs.Parse(args[1:]); err != nil {
			return err
		}
		if err := checkVersion(*version); err != nil {
			return err
		}
		return checkStated(*root, *version)
	case "help", "-h", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	}
	return fmt.Errorf("unknown command %q; allowed: images, push, binaries, check, help", args[0])
}
