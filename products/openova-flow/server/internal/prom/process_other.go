//go:build !linux

package prom

var processFamilies []Family
