// SPDX-License-Identifier: Apache-2.0

// Command protoc replaces the protobuf compiler while Kubernetes' go-to-protobuf runs, so
// generating code only requires Go. It only supports what go-to-protobuf uses:
//
//	protoc -I DIR ... --NAME_out=DIR FILE ...
//
// It compiles the files and passes them to the plugin protoc-gen-NAME, which must be in
// PATH.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "protoc:", err)
		os.Exit(1)
	}
}

// command is a parsed command line.
type command struct {
	// imports are the directories in which files are looked up.
	imports []string
	// plugin is the name of the one plugin to run.
	plugin string
	// out is the output directory of the plugin.
	out string
	// files are the files to compile.
	files []string
}

func run(args []string) error {
	cmd, err := parse(args)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(cmd.files))
	for _, file := range cmd.files {
		name, err := cmd.importName(file)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: cmd.imports}),
		// The plugin copies the comments into the generated code.
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return err
	}
	response, err := runPlugin(cmd.plugin, request(names, compiled))
	if err != nil {
		return err
	}
	return write(cmd.out, response)
}

// parse parses the part of protoc's command line that go-to-protobuf uses.
func parse(args []string) (command, error) {
	var cmd command
	for i := 0; i < len(args); i++ {
		arg := args[i]
		plugin, out, isOut := strings.Cut(strings.TrimPrefix(arg, "--"), "_out=")
		switch {
		case arg == "-I" && i+1 < len(args):
			i++
			cmd.imports = append(cmd.imports, args[i])
		case strings.HasPrefix(arg, "--") && isOut && cmd.plugin == "":
			cmd.plugin, cmd.out = plugin, out
		case strings.HasPrefix(arg, "-"):
			return command{}, fmt.Errorf("argument not supported: %s", arg)
		default:
			cmd.files = append(cmd.files, arg)
		}
	}
	if cmd.plugin == "" || len(cmd.files) == 0 {
		return command{}, errors.New("usage: protoc -I DIR ... --NAME_out=DIR FILE ...")
	}
	return cmd, nil
}

// importName returns the name by which other files import file: its path below the first
// import directory that contains it.
func (c command) importName(file string) (string, error) {
	for _, dir := range c.imports {
		name, err := filepath.Rel(dir, file)
		if err == nil && filepath.IsLocal(name) {
			return filepath.ToSlash(name), nil
		}
	}
	return "", fmt.Errorf("%s is in no import directory", file)
}

// request lists every file that the plugin may need, each after those it imports, as the
// plugin protocol requires.
func request(names []string, compiled linker.Files) *pluginpb.CodeGeneratorRequest {
	req := &pluginpb.CodeGeneratorRequest{FileToGenerate: names}
	seen := map[string]bool{}
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		descriptor := protodesc.ToFileDescriptorProto(file)
		if result, ok := file.(linker.Result); ok {
			// The compiler's own form still has the comments.
			descriptor = result.FileDescriptorProto()
		}
		req.ProtoFile = append(req.ProtoFile, descriptor)
	}
	for _, file := range compiled {
		add(file)
	}
	return req
}

// runPlugin implements the plugin protocol: one message in, one out.
func runPlugin(name string, req *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	input, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	plugin := exec.Command("protoc-gen-" + name)
	plugin.Stdin = bytes.NewReader(input)
	plugin.Stderr = os.Stderr
	output, err := plugin.Output()
	if err != nil {
		return nil, fmt.Errorf("protoc-gen-%s: %w", name, err)
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(output, response); err != nil {
		return nil, err
	}
	if response.GetError() != "" {
		return nil, fmt.Errorf("protoc-gen-%s: %s", name, response.GetError())
	}
	return response, nil
}

// write writes the plugin's files below dir.
func write(dir string, response *pluginpb.CodeGeneratorResponse) error {
	for _, file := range response.GetFile() {
		path := filepath.Join(dir, file.GetName())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(file.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
