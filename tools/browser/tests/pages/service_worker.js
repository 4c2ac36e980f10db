const send = path => fetch(path, {method: 'POST', body: 'x'}).catch(() => 0);
self.addEventListener('install', () => { self.skipWaiting(); send('/sent/install'); fetch('/logout?install').catch(() => 0); });
self.addEventListener('activate', event => event.waitUntil(clients.claim().then(() => send('/sent/activate'))));
self.addEventListener('message', () => send('/sent/message'));
