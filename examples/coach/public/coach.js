'use strict';

/*
 * The coach's page. A question is POSTed, its answer read from an event stream: words to show, sentences to hear, the
 * records it comes from. What sounds while the coach thinks is made here; the server sends speech and nothing else.
 *
 * Three parts: Thinking and Player make sound, Turn is one question with its answer, and the rest joins them to the
 * page. At most one turn is current; whatever an older one still has to say is ignored.
 */

const PAUSE_BETWEEN_SENTENCES = 0.2; // seconds; the server sends no silence
const LONGEST_RECONNECT = 20000; // ms, then the answer counts as lost
const MOST_TURNS_SHOWN = 50;

const find = (id) => document.getElementById(id);
const body = document.body;

/* ---- sound ---------------------------------------------------------------------------------------------------- */

let audio = null;

/** Must be called while a click or a key press is being handled: browsers let no page sound before one. */
function wakeAudio() {
  if (!audio && window.AudioContext) audio = new AudioContext();
  if (audio) audio.resume();
  return audio;
}

/** Two soft notes, again and again, until the first word is heard. */
const thinking = {
  out: null,

  start() {
    this.stop();
    if (!audio) return;
    const source = audio.createBufferSource();
    source.buffer = this.notes ??= this.compose();
    source.loop = true;
    this.out = audio.createGain();
    this.out.gain.setValueAtTime(0, audio.currentTime);
    this.out.gain.linearRampToValueAtTime(0.16, audio.currentTime + 0.05);
    source.connect(this.out).connect(audio.destination);
    source.start();
    this.source = source;
  },

  stop() {
    if (!this.out) return;
    const now = audio.currentTime;
    this.out.gain.cancelScheduledValues(now);
    this.out.gain.setTargetAtTime(0, now, 0.04);
    this.source.stop(now + 0.3);
    this.out = null;
  },

  compose() {
    const rate = audio.sampleRate;
    const buffer = audio.createBuffer(1, Math.round(rate * 1.6), rate);
    const samples = buffer.getChannelData(0);
    for (const [at, pitch] of [[0, 392], [0.4, 523.25]]) {
      for (let i = Math.round(at * rate); i < samples.length; i++) {
        const t = i / rate - at;
        const fade = Math.min(1, t / 0.015) * Math.exp(-5 * t) * Math.min(1, (1.6 - at - t) / 0.05);
        samples[i] += 0.5 * fade * (Math.sin(2 * Math.PI * pitch * t) + 0.2 * Math.sin(4 * Math.PI * pitch * t));
      }
    }
    return buffer;
  },
};

/** Sound in frames decodes from any cut, but that the first frame lacks the one before it. */
const IN_FRAMES = new Set(['audio/mpeg', 'audio/aac']);

function joined(before, bytes) {
  const all = new Uint8Array(before.length + bytes.length);
  all.set(before);
  all.set(bytes, before.length);
  return all;
}

/**
 * Plays numbered chunks strictly in their order, however they arrive or finish decoding; one that continues the one before follows it
 * without a pause, and without a seam: it is decoded together with that one, which is then skipped.
 * `onSentence(index)` is told what is being heard (0: a pause), `onEnd()` once, when nothing more will come.
 */
class Player {
  constructor({ onSentence, onPlayed, onEnd }) {
    Object.assign(this, { onSentence, onPlayed, onEnd });
    this.next = 1; // the chunk to schedule next
    this.chunks = new Map(); // index -> {buffer, from, continues}, null (nothing to hear) or undefined (still decoding)
    this.newest = null; // the chunk that came last, as it came
    this.playing = new Map(); // index -> {source, start, end}
    this.until = 0; // when the last scheduled chunk ends, on the audio clock
    this.heard = 0;
    this.complete = false;
    this.watch = setInterval(() => this.look(), 50);
  }

  async add(index, base64, about = {}) {
    if (index < this.next || this.chunks.has(index)) return;
    this.chunks.set(index, undefined);
    let chunk = null;
    try {
      if (base64 && audio) chunk = await this.decode(index, Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), about);
    } catch (error) {
      console.warn('a chunk that cannot be decoded is left out:', index, error.message);
    }
    if (!this.watch) return; // stopped meanwhile
    this.chunks.set(index, chunk);
    this.schedule();
  }

  async decode(index, bytes, { continues = false, mime, durationMs }) {
    const before = continues && IN_FRAMES.has(mime) && this.newest?.index === index - 1 ? this.newest : null;
    const buffer = audio.decodeAudioData((before ? joined(before.bytes, bytes) : bytes.slice()).buffer);
    // What of a sound comes first may be shorter than its frames: the silence that an encoder begins with is left out.
    this.newest = { index, bytes, seconds: continues ? Promise.resolve(durationMs / 1000) : buffer.then(({ duration }) => duration, () => 0) };
    return { buffer: await buffer, continues, from: before ? await before.seconds : 0 };
  }

  /** Nothing more will come: what is missing is left out. */
  finish() {
    this.complete = true;
    this.schedule();
  }

  /** What is missing before `index` will never come. */
  skipTo(index) {
    this.next = Math.max(this.next, index);
    this.schedule();
  }

  schedule() {
    for (;;) {
      if (this.complete && !this.chunks.has(this.next) && this.chunks.size) this.next = Math.min(...this.chunks.keys());
      const chunk = this.chunks.get(this.next);
      if (chunk === undefined) return this.endIfDone();
      this.chunks.delete(this.next);
      if (chunk) this.play(this.next, chunk);
      this.next++;
    }
  }

  play(index, { buffer, from, continues }) {
    const source = audio.createBufferSource();
    const start = Math.max(audio.currentTime + 0.03, this.until + (continues ? 0 : PAUSE_BETWEEN_SENTENCES));
    this.until = start + buffer.duration - from;
    source.buffer = buffer;
    source.connect(audio.destination);
    source.start(start, from);
    source.onended = () => {
      this.playing.delete(index);
      this.onPlayed();
      this.look();
      this.endIfDone();
    };
    this.playing.set(index, { source, start, end: this.until });
  }

  /** Follows the audio clock rather than timers: it stands still when the device does. */
  look() {
    const now = audio ? audio.currentTime : 0;
    let heard = 0;
    for (const [index, { start, end }] of this.playing) if (start <= now && now < end) heard = index;
    if (heard !== this.heard) this.onSentence((this.heard = heard));
  }

  endIfDone() {
    if (!this.complete || !this.watch || this.playing.size || this.chunks.size) return;
    this.stop();
    this.onEnd();
  }

  stop() {
    clearInterval(this.watch);
    this.watch = null;
    for (const { source } of this.playing.values()) {
      source.onended = null;
      source.stop();
    }
    this.playing.clear();
    this.chunks.clear();
  }
}

/* ---- the server ----------------------------------------------------------------------------------------------- */

let dialogueId = null; // the conversation that the next question continues
let posting = Promise.resolve(); // questions are sent one after the other, so that each knows the dialogue

async function request(method, path, data) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: data && { 'Content-Type': 'application/json', 'Idempotency-Key': newKey() },
      body: data && JSON.stringify(data),
    });
  } catch {
    throw new Error('The coach cannot be reached. Is the server running?');
  }
  const reply = await response.json().catch(() => null);
  if (response.ok) return reply;
  const told = reply?.error;
  const error = new Error(told ? `${told.message} (request ${told.requestId})` : `The server answered ${response.status}.`);
  error.status = response.status;
  throw error;
}

/** Marks a question as asked once, however often the browser may send it; crypto.randomUUID needs https. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join('-');
}

async function converse(text, speak) {
  const question = { text };
  if (!speak) question.voiceConfig = { enabled: false };
  try {
    return await request('POST', '/api/voice/converse', dialogueId ? { ...question, dialogueId } : question);
  } catch (error) {
    if (error.status !== 404 || !dialogueId) throw error;
    dialogueId = null; // the server has forgotten the conversation: a new one begins
    return request('POST', '/api/voice/converse', question);
  }
}

/** Ends the dialogue on the server, so that nothing is made that nobody hears. */
function endDialogue(keepalive = false) {
  const id = dialogueId;
  dialogueId = null;
  if (id) fetch(`/api/voice/dialogues/${encodeURIComponent(id)}`, { method: 'DELETE', keepalive }).catch(() => {});
}

/* ---- one question and its answer ------------------------------------------------------------------------------ */

class Turn {
  constructor(text, speak) {
    this.text = text;
    this.speak = speak;
    this.answer = '';
    this.sentences = []; // chunkIndex -> its <span>
    this.placed = 0; // how much of the answer stands in those spans
    this.seen = null; // the last event's {epoch, seq}
    this.overAtServer = false;
    this.problem = null;
    this.draw();
  }

  draw() {
    this.element = find('turn').content.firstElementChild.cloneNode(true);
    this.part = (selector) => this.element.querySelector(selector);
    this.part('.question').textContent = this.text;
    this.tail = document.createTextNode('');
    this.part('.answer').append(this.tail);
    find('talk').append(this.element);
    while (find('talk').children.length > MOST_TURNS_SHOWN) find('talk').firstElementChild.remove();
  }

  async start() {
    this.player = new Player({
      onSentence: (index) => this.highlight(index),
      onPlayed: () => body.dataset.chunksPlayed++,
      onEnd: () => this.end(),
    });
    const sent = posting.then(() => converse(this.text, this.speak));
    posting = sent.then((reply) => (dialogueId = reply.dialogueId)).catch(() => {});
    try {
      const reply = await sent;
      await posting;
      if (current !== this) return this.stopped?.();
      if (reply.thinkingIndicator?.type !== 'sound') thinking.stop();
      this.listen();
    } catch (error) {
      if (current === this) this.fail(error.message);
    }
  }

  listen() {
    this.stream = new EventSource(`/api/voice/open-stream?dialogueId=${encodeURIComponent(dialogueId)}`);
    this.on('textChunk', ({ role, text }) => (role === 'user' ? this.echo(text) : this.write(text)));
    this.on('sources', ({ records }) => this.illustrate(records?.[0]));
    this.on('audioChunk', (chunk) => this.hear(chunk));
    this.on('done', (data) => this.judge(data));
    this.on('complete', () => this.complete());
    this.stream.addEventListener('gap', () => {
      this.afterGap = true;
      this.note('A part of the answer was lost on the way.');
    });
    this.stream.addEventListener('dropped', () => say('The connection was too slow. Trying again…'));
    this.stream.onopen = () => this.reconnected();
    this.stream.onerror = () => this.disconnected();
  }

  /** Handles an event once, and only while this turn is the current one. */
  on(name, handle) {
    this.stream.addEventListener(name, (event) => {
      const [epoch, seq] = event.lastEventId.split('.').map(Number);
      if (current !== this || (this.seen && epoch === this.seen.epoch && seq <= this.seen.seq)) return;
      if (seq) this.seen = { epoch, seq };
      handle(JSON.parse(event.data));
    });
  }

  echo(text) {
    this.part('.question').textContent = text;
  }

  write(text) {
    this.answer += text;
    this.tail.data = this.answer.slice(this.placed);
    keepInSight();
  }

  hear(chunk) {
    const { chunkIndex, audio: base64, text = '', continues } = chunk;
    body.dataset.chunksReceived++;
    if (continues && this.sentences[chunkIndex - 1]) this.sentences[chunkIndex] = this.sentences[chunkIndex - 1];
    else this.place(chunkIndex, text);
    if (this.afterGap) this.player.skipTo(chunkIndex);
    this.afterGap = false;
    this.player.add(chunkIndex, this.speak ? base64 : null, chunk);
  }

  /** What a chunk says, as a span of the answer. */
  place(chunkIndex, text) {
    const span = document.createElement('span');
    span.textContent = text.trimEnd();
    this.sentences[chunkIndex] = span;
    this.placed += text.length;
    this.tail.before(span, text.slice(span.textContent.length));
    this.tail.data = this.answer.slice(this.placed);
  }

  highlight(index) {
    for (const span of this.sentences) span?.classList.remove('spoken');
    const span = this.sentences[index];
    if (!span) return;
    if (body.dataset.state === 'thinking') {
      thinking.stop();
      setState('speaking', 'Speaking');
    }
    span.classList.add('spoken');
    find('caption').textContent = span.textContent;
    if (following) span.scrollIntoView({ block: 'nearest' });
  }

  illustrate(record) {
    if (!record) return;
    const facts = [record.level, record.equipment, record.primaryMuscles?.join(', ')].filter(Boolean);
    this.part('figcaption strong').textContent = record.name ?? '';
    this.part('figcaption span').textContent = facts.join(' · ');
    this.part('figure').hidden = false;
    if (!record.media) return keepInSight();
    const picture = this.part('img');
    picture.onload = keepInSight;
    picture.onerror = () => (picture.hidden = true);
    picture.alt = `Moving picture: ${record.name}`;
    picture.src = record.media;
    picture.hidden = false;
  }

  judge({ status, error, message }) {
    if (status === 'failed') this.problem = error?.message ?? message ?? 'The answer could not be finished.';
    if (status === 'expired') this.problem = 'The answer took too long and was given up.';
    if (status === 'cancelled') this.note('This answer was interrupted.');
  }

  complete() {
    this.overAtServer = true;
    this.reconnected();
    this.stream.close();
    this.part('.answer').setAttribute('aria-busy', 'false');
    this.player.finish();
  }

  /** All has been heard. */
  end() {
    if (current !== this) return;
    if (this.problem) return this.fail(this.problem);
    thinking.stop();
    setState('done', '');
  }

  /** The browser reconnects by itself and says where it was; only when it gives up is the answer lost. */
  disconnected() {
    if (current !== this || this.overAtServer) return;
    if (this.stream.readyState === EventSource.CLOSED) return this.lose();
    say('The connection was lost. Trying again…');
    this.patience ??= setTimeout(() => this.lose(), LONGEST_RECONNECT);
  }

  reconnected() {
    clearTimeout(this.patience);
    this.patience = null;
    if (current === this) say(body.dataset.state === 'speaking' ? 'Speaking' : 'Thinking…');
  }

  lose() {
    this.problem = 'The connection was lost before the answer was complete.';
    this.complete();
  }

  note(text, wrong = false) {
    const note = this.part('.note');
    note.textContent = text;
    note.classList.toggle('wrong', wrong);
    note.hidden = false;
    keepInSight();
  }

  fail(text) {
    this.silence();
    this.note(text, true);
    setState('error', '');
  }

  /** Ends all that this page does for the turn; the server is told elsewhere. */
  silence() {
    thinking.stop();
    clearTimeout(this.patience);
    this.stream?.close();
    this.player?.stop();
    this.highlight(0);
    this.part('.answer').setAttribute('aria-busy', 'false');
  }
}

/* ---- the page ------------------------------------------------------------------------------------------------- */

let current = null;
let speak = true;
let following = true; // until the reader scrolls

function say(text) {
  find('status').textContent = text;
}

function setState(state, status) {
  body.dataset.state = state;
  find('stop').disabled = state !== 'thinking' && state !== 'speaking';
  if (state !== 'speaking') find('caption').textContent = '';
  say(status);
}

/** Shows the growing answer, but keeps its question in sight; never against the reader, who may scroll elsewhere. */
function keepInSight() {
  if (!following || !current) return;
  const page = document.documentElement;
  const most = current.element.getBoundingClientRect().top + page.scrollTop - 12;
  page.scrollTop = Math.max(page.scrollTop, Math.min(page.scrollHeight, most));
}

/** A question asked while an answer runs interrupts it: here at once, on the server by the POST itself. */
function ask(text) {
  if (speak) wakeAudio();
  current?.silence();
  find('welcome').hidden = true;
  body.dataset.chunksReceived = 0;
  body.dataset.chunksPlayed = 0;
  current = new Turn(text, speak);
  setState('thinking', 'Thinking…');
  if (speak) thinking.start();
  following = true;
  keepInSight();
  current.start();
}

function stop() {
  const turn = current;
  if (!turn || find('stop').disabled) return;
  current = null;
  turn.silence();
  turn.note('Stopped.');
  if (turn.stream && !turn.overAtServer) endDialogue();
  turn.stopped = () => !current && endDialogue(); // the question was still on its way
  setState('idle', '');
  find('question').focus();
}

find('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = find('question').value.trim();
  if (!text) return;
  find('question').value = '';
  ask(text);
});

find('welcome').addEventListener('click', (event) => {
  if (event.target.tagName !== 'BUTTON') return;
  ask(event.target.textContent);
  find('question').focus();
});

find('voice').addEventListener('click', () => {
  speak = !speak;
  find('voice').setAttribute('aria-pressed', String(speak));
  find('voice').textContent = speak ? 'Voice on' : 'Voice off';
});

find('stop').addEventListener('click', stop);

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') stop();
});

for (const scrolled of ['wheel', 'touchmove']) {
  window.addEventListener(scrolled, () => (following = false), { passive: true });
}

window.addEventListener('pagehide', () => {
  if (current?.stream && !current.overAtServer) endDialogue(true);
});
