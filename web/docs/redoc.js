Redoc.init('/openapi.json', {hideDownloadButton: false, sortPropsAlphabetically: false},
           document.getElementById('redoc'));
