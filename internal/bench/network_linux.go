package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// alone gives a command a network of its own.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN}
	}
}

// The device's settings: as a kernel makes it, and as an Ethernet has it, where
// every packet has its own headers.
const (
	wideMTU     = 65536
	ethernetMTU = 1500

	ethtoolSetTSO = 0x1f
	ethtoolSetGSO = 0x24
)

// setLoopback brings the loopback device up.
func setLoopback(mtu int, offload bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint32(uint32(mtu))
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, ifr); err != nil {
		return fmt.Errorf("set MTU of the loopback device: %w", err)
	}
	ifr, err = unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOOPBACK)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring up the loopback device: %w", err)
	}
	for _, cmd := range []uint32{ethtoolSetTSO, ethtoolSetGSO} {
		if err := setOffload(fd, cmd, offload); err != nil {
			return fmt.Errorf("set segmentation of the loopback device: %w", err)
		}
	}
	return nil
}

// carried is how many bytes the loopback device has carried, in packets with all
// headers.
func carried() (uint64, error) {
	text, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		return 0, fmt.Errorf("read bytes of the loopback device: %w", err)
	}
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(l), "lo:"); ok {
			return strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("read bytes of the loopback device: there is none")
}

// transported is what the kernel counts of datagrams and segments.
type transported struct{ datagrams, dropped, segments, again uint64 }

// transports reads the counters of UDP and TCP.
func transports() (t transported, err error) {
	text, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		return t, fmt.Errorf("read counters of the network: %w", err)
	}
	counters := map[string]uint64{}
	names := map[string][]string{}
	for l := range strings.Lines(string(text)) {
		kind, rest, _ := strings.Cut(l, ":")
		cells := strings.Fields(rest)
		if names[kind] == nil {
			names[kind] = cells
			continue
		}
		for i, cell := range cells {
			// Some are negative and none of those is used.
			if n, err := strconv.ParseUint(cell, 10, 64); err == nil && i < len(names[kind]) {
				counters[kind+names[kind][i]] = n
			}
		}
	}
	return transported{datagrams: counters["UdpOutDatagrams"], dropped: counters["UdpRcvbufErrors"], segments: counters["TcpOutSegs"],
		again: counters["TcpRetransSegs"]}, nil
}
