import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';

/**
 * The server of WebSockets under Engine.IO, which passes the options. By itself `ws` answers every ping, and each answer
 * that waits for a client takes fifty times the memory of its ping. Only the newest one needs an answer. Source: RFC 6455,
 * section 5.5.3.
 */
export class QuietWebSocketServer extends WebSocketServer {
  constructor(options: ServerOptions) {
    super({ ...options, autoPong: false });
  }

  override handleUpgrade(...[request, socket, head, done]: Parameters<WebSocketServer['handleUpgrade']>): void {
    super.handleUpgrade(request, socket, head, (client, upgraded) => {
      answerNewestPing(client);
      done(client, upgraded);
    });
  }
}

function answerNewestPing(client: WebSocket): void {
  let newest: Buffer | undefined;
  let isAnswering = false;
  const answer = () => {
    if (newest === undefined || client.readyState !== client.OPEN) return;
    const ping = newest;
    newest = undefined;
    isAnswering = true;
    // Whatever comes of it: a connection that is gone says so by itself.
    client.pong(ping, false, () => {
      isAnswering = false;
      answer();
    });
  };
  client.on('ping', (data) => {
    newest = data;
    if (!isAnswering) answer();
  });
}
