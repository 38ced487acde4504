package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// What one read takes, at least: several small requests may have come together.
const bufferSizeLeast = 4096

func echoConnection(connection net.Conn, size int) {
	defer connection.Close()
	buffer := make([]byte, size)
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err = connection.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func accept(listener net.Listener, size int) {
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Print(err) // of that connection alone
			continue
		}
		go echoConnection(connection, size)
	}
}

// echo: a goroutine and a buffer for each connection. The net package turns Nagle off by itself.
func echo(p parameters) {
	runtime.GOMAXPROCS(p.count("shards", 1))
	size := p.count("size", 64)
	if size < bufferSizeLeast {
		size = bufferSizeLeast
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	go accept(listener, size)
	<-end
	listener.Close()
}
