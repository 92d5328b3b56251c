// validatorUrl would send the document to a host of Swagger's makers.
SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger',
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
