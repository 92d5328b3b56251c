// Copies what the pages /docs and /redoc need from node_modules to dist. Nothing in dist loads
// anything from another host.
import {copyFileSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';

const swagger = 'node_modules/swagger-ui-dist/';
const redoc = 'node_modules/redoc/bundles/';

mkdirSync('dist', {recursive: true});
for (const page of ['swagger.html', 'swagger.js', 'redoc.html', 'redoc.js']) {
  copyFileSync(page, 'dist/' + page);
}
copyFileSync(swagger + 'swagger-ui.css', 'dist/swagger-ui.css');

/** A bundle without the comment that names its source map, which we do not serve. */
function bundle(path) {
  return readFileSync(path, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
}
writeFileSync('dist/swagger-ui-bundle.js', bundle(swagger + 'swagger-ui-bundle.js'));

// Redoc shows its maker's logo from a CDN; an empty picture keeps the page on one host.
const logo = /https:\/\/cdn\.redoc\.ly\/redoc\/logo-mini\.svg/g;
const empty = "data:image/svg+xml,%3Csvg xmlns=%27http://www.w3.org/2000/svg%27/%3E";
const original = bundle(redoc + 'redoc.standalone.js');
if (!logo.test(original)) throw new Error('redoc no longer names its logo: look at bundle.mjs');
writeFileSync('dist/redoc.standalone.js', original.replace(logo, empty));

const licenses = [
  swagger + 'NOTICE',
  swagger + 'LICENSE',
  swagger + 'swagger-ui-bundle.js.LICENSE.txt',
  'node_modules/redoc/LICENSE',
  redoc + 'redoc.standalone.js.LICENSE.txt',
];
writeFileSync('dist/licenses.txt', licenses.map((f) => readFileSync(f, 'utf8')).join('\n\n'));
