'use strict';
// A server of the Minecraft protocol whose players connect within the process, without a socket and without compression.

const { Duplex } = require('stream');
const Server = require('minecraft-protocol').Server;
const Client = require('minecraft-protocol').Client;
const states = require('minecraft-protocol').states;

// An answer that arrived within the call that asks for it would find nobody waiting: everything takes a moment.
const LATENCY_MS = 1;

class PipeEnd extends Duplex {
  _read() {}

  _write(chunk, _encoding, done) {
    if (this.sent === undefined) {
      this.sent = [];
      setTimeout(() => {
        const { sent } = this;
        this.sent = undefined;
        for (const part of sent) this.other.push(part);
      }, LATENCY_MS);
    }
    this.sent.push(chunk);
    done();
  }

  _final(done) {
    setTimeout(() => this.other.push(null), LATENCY_MS * 2);
    done();
  }

  setNoDelay() {}
}

/** Two ends of a connection. */
function pipe() {
  const [one, other] = [new PipeEnd(), new PipeEnd()];
  one.other = other;
  other.other = one;
  return [one, other];
}

class PipeServer extends Server {
  listen() {
    this.socketServer = { address: () => ({ port: 0 }), close: () => this.emit('close') };
    this.ids = 0;
    setImmediate(() => this.emit('listening'));
  }

  /** A new connection; returns the player's end. */
  connect() {
    const [server, player] = pipe();
    const client = new Client(true, this.version, this.customPackets, this.hideErrors);
    const { end, write } = client;
    client._end = end;
    client.end = (reason) => {
      if (client.state === states.PLAY) client.write('kick_disconnect', { reason: JSON.stringify({ text: reason }) });
      client._end(reason);
    };
    // Compression runs on other threads, whose order no seed decides.
    client.write = (name, params) => { if (name !== 'compress') write.call(client, name, params); };
    Object.defineProperty(client, 'compressionThreshold', { get: () => -2, set: () => {} });
    client.id = this.ids++;
    this.clients[client.id] = client;
    client.on('end', () => { delete this.clients[client.id]; });
    client.setSocket(server);
    this.emit('connection', client);
    return player;
  }
}

module.exports = { PipeServer };
