// The app's identity as an administrator of the server, and so the owner of the tables that the app makes. Where others use the
// server, too, make a role of less rights: https://learn.microsoft.com/azure/postgresql/flexible-server/how-to-manage-azure-ad-users
// A module, because the name of a resource has to be known when a deployment begins; this name is known once there is an identity.
param serverName string
param principalId string
param principalName string

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' existing = {
  name: serverName
}

resource owner 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2024-08-01' = {
  parent: server
  name: principalId
  properties: { principalType: 'ServicePrincipal', principalName: principalName, tenantId: tenant().tenantId }
}
