// The connection to the server, tried again with growing pauses when it is lost.

const FIRST_WAIT = 0.5; // seconds
const LONGEST_WAIT = 8;
const TAKEN_OVER = 4001;
const LOST = [1000, 1001, 1005, 1006, 1012]; // close codes after which trying again makes sense

// `handlers`: message(object), lost(seconds until the next try), taken(), refused(reason).
export function makeLink(handlers) {
  let socket = null;
  let wait = FIRST_WAIT;
  let timer = 0;
  let reason = "";

  // A retry is nobody's wish: it must not take the stream from a tab that somebody opened since.
  function connect(retry = false) {
    clearTimeout(timer);
    if (socket && socket.readyState <= WebSocket.OPEN) return;
    reason = "";
    const token = new URLSearchParams(location.search).get("token") ?? "";
    const query = `token=${encodeURIComponent(token)}${retry ? "&retry" : ""}`;
    socket = new WebSocket(`ws://${location.host}/stream?${query}`);
    socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "hello") wait = FIRST_WAIT;
      if (message.type === "error") reason = message.reason;
      else handlers.message(message);
    });
    socket.addEventListener("close", closed);
  }

  function closed(event) {
    if (event.code === TAKEN_OVER) return handlers.taken();
    if (!LOST.includes(event.code)) return handlers.refused(reason || event.reason);
    handlers.lost(wait);
    timer = setTimeout(connect, 1000 * wait, true);
    wait = Math.min(2 * wait, LONGEST_WAIT);
  }

  function send(message) {
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    socket.send(message instanceof ArrayBuffer ? message : JSON.stringify(message));
  }

  return { connect, send };
}
