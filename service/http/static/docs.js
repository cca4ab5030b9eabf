// validatorUrl: null keeps Swagger UI from sending the document's address to its makers' validator.
SwaggerUIBundle({
  url: document.getElementById("interface").dataset.document,
  dom_id: "#interface",
  validatorUrl: null,
  deepLinking: true,
});
