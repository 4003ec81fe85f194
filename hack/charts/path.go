// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
)

// at returns the map or the list at a path such as spec.containers.0. Names with dots in
// them can't be part of a path.
func at(content map[string]any, path string) (any, error) {
	var here any = content
	if path == "" {
		return here, nil
	}
	for step := range strings.SplitSeq(path, ".") {
		switch v := here.(type) {
		case map[string]any:
			next, ok := v[step]
			if !ok {
				return nil, fmt.Errorf("there is no %s in %s", step, path)
			}
			here = next
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				return nil, fmt.Errorf("there is no item %s in %s", step, path)
			}
			here = v[i]
		default:
			return nil, fmt.Errorf("%s leads into %v", path, here)
		}
	}
	return here, nil
}

// mapAt is like at for maps.
func mapAt(content map[string]any, path string) (map[string]any, error) {
	found, err := at(content, path)
	if err != nil {
		return nil, err
	}
	m, ok := found.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is no map", path)
	}
	return m, nil
}

// set sets an existing key of a map.
func set(content map[string]any, path, key string, value any) error {
	m, err := mapAt(content, path)
	if err != nil {
		return err
	}
	if _, ok := m[key]; !ok {
		return fmt.Errorf("there is no %s in %s", key, path)
	}
	m[key] = value
	return nil
}

// add adds a key to a map.
func add(content map[string]any, path, key string, value any) error {
	m, err := mapAt(content, path)
	if err != nil {
		return err
	}
	if _, ok := m[key]; ok {
		return fmt.Errorf("there is a %s in %s already", key, path)
	}
	m[key] = value
	return nil
}

// replace replaces a part of one item of a list of strings that begins with a prefix.
func replace(content map[string]any, path, prefix, value string) error {
	found, err := at(content, path)
	if err != nil {
		return err
	}
	list, _ := found.([]any)
	for i, item := range list {
		if text, ok := item.(string); ok && strings.HasPrefix(text, prefix) {
			list[i] = prefix + value
			return nil
		}
	}
	return fmt.Errorf("no item of %s begins with %s", path, prefix)
}

// appendTo appends an item to a list.
func appendTo(content map[string]any, path, key string, item any) error {
	return changeList(content, path, key, func(list []any) []any { return append(list, item) })
}

// prependTo inserts an item at the beginning of a list.
func prependTo(content map[string]any, path, key string, item any) error {
	return changeList(content, path, key, func(list []any) []any { return append([]any{item}, list...) })
}

func changeList(content map[string]any, path, key string, change func([]any) []any) error {
	m, err := mapAt(content, path)
	if err != nil {
		return err
	}
	list, ok := m[key].([]any)
	if !ok {
		return fmt.Errorf("%s.%s is no list", path, key)
	}
	m[key] = change(list)
	return nil
}
