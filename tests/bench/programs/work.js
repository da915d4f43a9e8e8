// SPDX-License-Identifier: BSD-2-Clause
//
// work.js ROUNDS - buffers, JSON, compression, maps. V8 keeps its objects in memory of its own;
// what malloc sees is what lies outside: buffers, zlib, the compiler's zones. Prints a digest.
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');

function records(seed) {
    const list = [];
    for (let n = 0; n < 6000; n++) {
        list.push({ id: n, name: `user ${n * seed}`, tags: [n % 7, n % 11], x: n / 3 });
    }
    return list;
}

function buffers(seed) {
    const kept = new Array(500);
    let sum = 0;
    for (let n = 0; n < 12000; n++) {
        const size = 64 + (n * seed * 7919) % 16384;
        const buffer = Buffer.allocUnsafeSlow(size);
        buffer.fill(n % 251);
        sum = (sum + buffer[size >> 1] + size) % 1000003;
        kept[n % kept.length] = buffer;
    }
    return sum;
}

const hash = crypto.createHash('sha256');
for (let round = 1; round <= Number(process.argv[2]); round++) {
    const text = JSON.stringify(records(round));
    const packed = zlib.deflateSync(text, { level: 1 });
    const back = zlib.inflateSync(packed).toString();
    if (back !== text) {
        throw new Error('what came back is not what was packed');
    }
    const map = new Map(JSON.parse(back).map((one) => [one.name, one]));
    hash.update(`${text.length} ${map.size} ${buffers(round)} `);
    for (let n = 0; n < 200; n++) {
        hash.update(crypto.createHash('md5').update(text.slice(n * 10, n * 10 + 2000)).digest());
    }
}
console.log(hash.digest('hex'));
