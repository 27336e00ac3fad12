// What the app needs: a container app with an identity of its own, PostgreSQL, Communication Services, and the subscription
// to incoming calls. One resource group; one secret, which Container Apps keeps: the word by which Event Grid is known.
// PostgreSQL and Communication Services know the app by its identity.
targetScope = 'resourceGroup'

@description('Part of every name, such as calls-test.')
@minLength(3)
@maxLength(20)
param environmentName string
param location string = resourceGroup().location
@description('Where Communication Services keeps its data at rest.')
param dataLocation string = 'Europe'
@description('The image of the app. azd fills it in.')
param image string
@secure()
@description('Letters and digits alone: Event Grid sends it in the address of each incoming call.')
@minLength(16)
param incomingSecret string
@description('Whether to subscribe to incoming calls: only once the app answers, because Event Grid asks it at once.')
param subscribe bool = false

var suffix = uniqueString(resourceGroup().id, environmentName)
var tags = { 'azd-env-name': environmentName }
var acrPull = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '7f951dda-4ed3-4680-a7ca-43fe172d538d')
var contributor = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'b24988ac-6180-42a0-ab88-20f7382dd24c')

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-${suffix}'
  location: location
  tags: tags
}

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' = {
  name: 'cr${suffix}'
  location: location
  tags: tags
  sku: { name: 'Basic' }
  properties: { adminUserEnabled: false }
}

resource pulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, identity.id, acrPull)
  scope: registry
  properties: { principalId: identity.properties.principalId, principalType: 'ServicePrincipal', roleDefinitionId: acrPull }
}

resource calls 'Microsoft.Communication/communicationServices@2023-04-01' = {
  name: 'acs-${suffix}'
  location: 'global'
  tags: tags
  properties: { dataLocation: dataLocation }
}

// Microsoft has no narrower role for Call Automation: https://learn.microsoft.com/azure/communication-services/concepts/authentication
resource places 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(calls.id, identity.id, contributor)
  scope: calls
  properties: { principalId: identity.properties.principalId, principalType: 'ServicePrincipal', roleDefinitionId: contributor }
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: 'psql-${suffix}'
  location: location
  tags: tags
  sku: { name: 'Standard_B1ms', tier: 'Burstable' }
  properties: {
    version: '16'
    authConfig: { activeDirectoryAuth: 'Enabled', passwordAuth: 'Disabled', tenantId: tenant().tenantId }
    storage: { storageSizeGB: 32 }
    backup: { backupRetentionDays: 7 }
  }

  resource store 'databases' = {
    name: 'ringback'
  }

  // The addresses of Azure alone. A network of your own keeps the database off the internet.
  resource fromAzure 'firewallRules' = {
    name: 'AllowAzure'
    properties: { startIpAddress: '0.0.0.0', endIpAddress: '0.0.0.0' }
  }
}

module owner 'database-owner.bicep' = {
  name: 'database-owner'
  params: { serverName: database.name, principalId: identity.properties.principalId, principalName: identity.name }
  dependsOn: [database::store]
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-${suffix}'
  location: location
  tags: tags
  properties: { sku: { name: 'PerGB2018' }, retentionInDays: 30 }
}

resource environment 'Microsoft.App/managedEnvironments@2024-03-01' = {
  name: 'cae-${suffix}'
  location: location
  tags: tags
  properties: {
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: { customerId: logs.properties.customerId, sharedKey: logs.listKeys().primarySharedKey }
    }
  }
}

resource app 'Microsoft.App/containerApps@2024-03-01' = {
  name: 'ca-${suffix}'
  location: location
  tags: union(tags, { 'azd-service-name': 'app' })
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  dependsOn: [pulls, owner]
  properties: {
    managedEnvironmentId: environment.id
    configuration: {
      ingress: { external: true, targetPort: 8000, transport: 'auto', allowInsecure: false }
      registries: [{ server: registry.properties.loginServer, identity: identity.id }]
      secrets: [{ name: 'incoming', value: incomingSecret }]
    }
    template: {
      // Hooks may run for the setting `drain`, 20 seconds, after a replica is told to stop.
      terminationGracePeriodSeconds: 30
      scale: { minReplicas: 1, maxReplicas: 3 }
      containers: [
        {
          name: 'app'
          image: image
          resources: { cpu: json('0.5'), memory: '1Gi' }
          env: [
            { name: 'RINGBACK_STORE', value: 'postgresql://${identity.name}@${database.properties.fullyQualifiedDomainName}:5432/ringback?sslmode=require' }
            { name: 'INCOMING_SECRET', secretRef: 'incoming' }
            { name: 'ACS_RESOURCE_ID', value: calls.properties.immutableResourceId }
            { name: 'ACS_ENDPOINT', value: 'https://${calls.properties.hostName}' }
            { name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }
          ]
          probes: [
            { type: 'Liveness', httpGet: { path: '/livez', port: 8000 }, periodSeconds: 10, failureThreshold: 3 }
            { type: 'Readiness', httpGet: { path: '/healthz', port: 8000 }, periodSeconds: 10, timeoutSeconds: 6, failureThreshold: 3 }
          ]
        }
      ]
    }
  }
}

resource incoming 'Microsoft.EventGrid/eventSubscriptions@2024-06-01-preview' = if (subscribe) {
  name: 'incoming-calls'
  scope: calls
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    filter: { includedEventTypes: ['Microsoft.Communication.IncomingCall'] }
    destination: {
      endpointType: 'WebHook'
      properties: { endpointUrl: 'https://${app.properties.configuration.ingress.fqdn}/api/incoming?secret=${incomingSecret}' }
    }
  }
}

output AZURE_CONTAINER_REGISTRY_ENDPOINT string = registry.properties.loginServer
output CALLBACK_URL string = 'https://${app.properties.configuration.ingress.fqdn}/api/callbacks/'
