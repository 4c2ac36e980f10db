// Loaded before the suite, which knows servers without a token only: shows the token with every request.
import { createRequire } from 'node:module';
import http from 'node:http';

const { getGlobalDispatcher, setGlobalDispatcher } = createRequire(process.argv[1])('undici');
const shown = `Bearer ${process.env.CONFORMANCE_TOKEN}`;

const add = (headers) => {
  if (Array.isArray(headers)) return [...headers, 'authorization', shown];
  const plain = headers?.entries ? Object.fromEntries(headers.entries()) : { ...headers };
  return { ...plain, authorization: shown };
};

setGlobalDispatcher(
  getGlobalDispatcher().compose((send) => (options, handler) =>
    send({ ...options, headers: add(options.headers) }, handler),
  ),
);

const request = http.request;
http.request = (options, ...rest) =>
  request({ ...options, headers: { ...options.headers, authorization: shown } }, ...rest);
